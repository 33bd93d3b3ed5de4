"""Loss on a split against a loop over records in float64."""

import numpy as np
import pytest
import torch

from client.ecg import loss as loss_module
from client.ecg.crops import RAIL
from client.ecg.loss import evaluate_loss, record_losses, scored_batches
from models.registry import build_model
from tests.noise_ecg import noise_shard
from wardlaw.config import from_flat

CONTEXT = 256


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    return noise_shard(tmp_path_factory.mktemp("noise") / "a", "a", patients=40)


def model_of(objective, family="resnet"):
    settings = {"model.family": family, "model.size": "20k", "model.context": CONTEXT}
    return build_model(from_flat(settings | {"objective.name": objective, "run.topology": "centralised"}), 26)


def crops_of(shard, split):
    """Crops of a split one by one, in float64 from the integers: record, own samples, scaled signal."""
    records, manifest = shard.split(split), shard.manifest
    for record, samples in enumerate(records.samples.tolist()):
        count = -(-samples // CONTEXT)
        for number in range(count):
            start = round(number * max(samples - CONTEXT, 0) / max(count - 1, 1))
            first = records.first_sample[record] + start
            own = min(CONTEXT, samples - start)
            millivolts = (
                records.digital[first : first + own].astype(np.float64) - records.baseline[record]
            ) / records.gain[record]
            signal = np.zeros((CONTEXT, 12))
            signal[:own] = np.clip((millivolts - manifest.center) / manifest.scale, -RAIL, RAIL)
            yield record, own, signal


def test_sums_of_bce_equal_a_loop_over_crops_in_float64(shard):
    model = model_of("bce").eval()
    sums = evaluate_loss(model, shard, "tuning", CONTEXT)
    nats, targets = record_losses(model, shard, "tuning", CONTEXT)
    model = model.double()
    labels = torch.tensor(shard.split("tuning").labels, dtype=torch.float64)
    expected = np.zeros(len(labels))
    for record, own, signal in crops_of(shard, "tuning"):
        with torch.no_grad():
            features = model.backbone(torch.tensor(signal)[None])[0]
            logits = model.objective.head(features[: own // model.backbone.patch].mean(0))
        p = logits.sigmoid()
        own_nats = -(labels[record] * p.log() + (1 - labels[record]) * (1 - p).log())
        expected[record] += own_nats.sum().item()
    np.testing.assert_allclose(nats, expected, rtol=1e-5)
    crops = [record for record, *_ in crops_of(shard, "tuning")]
    np.testing.assert_array_equal(targets, 26 * np.bincount(crops, minlength=len(labels)))
    assert sums.nats == pytest.approx(expected.sum(), rel=1e-5)
    assert sums.tokens == 26 * len(crops)
    assert sums.events == len(labels)
    assert sums.patients == shard.manifest.patients("tuning")


@pytest.mark.parametrize("objective", ["bce", "asymmetric", "jepa", "data2vec", "reconstruction"])
def test_batches_do_not_matter_to_uncoupled_objectives(shard, monkeypatch, objective):
    model = model_of(objective)
    whole = record_losses(model, shard, "held_out", CONTEXT)
    monkeypatch.setattr(loss_module, "SCORED_CROPS", 3)
    parts = record_losses(model, shard, "held_out", CONTEXT)
    np.testing.assert_allclose(whole[0], parts[0], rtol=1e-4)
    np.testing.assert_array_equal(whole[1], parts[1])


@pytest.mark.parametrize("objective", ["dinosr", "hubert", "cpc"])
def test_scoring_changes_nothing_and_gives_the_same_bits_again(shard, objective):
    model = model_of(objective, "transformer")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first, again = (evaluate_loss(model, shard, "held_out", CONTEXT) for _ in range(2))
    assert first == again
    assert first.tokens > 0
    model.train()
    model.after_step()
    # A teacher that follows an unmoved student stays; codes that collected nothing stay.
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=1e-6, atol=1e-7)


def test_scored_batches_are_all_crops_in_order_and_of_nearly_equal_size(shard):
    batches = list(scored_batches(shard, "train", CONTEXT))
    sizes = [len(owners) for _, owners in batches]
    assert max(sizes) <= loss_module.SCORED_CROPS
    assert max(sizes) - min(sizes) <= 1
    crops = list(crops_of(shard, "train"))
    owners = np.concatenate([owners for _, owners in batches])
    np.testing.assert_array_equal(owners, [record for record, *_ in crops])
    signals = torch.cat([batch.signals for batch, _ in batches]).numpy()
    np.testing.assert_allclose(signals, np.stack([signal for *_, signal in crops]), atol=1e-4)
    seeds = torch.cat([batch.seeds for batch, _ in batches]).tolist()
    assert len(set(seeds)) == len(seeds)


def test_a_split_without_records_has_no_loss(shard, monkeypatch):
    empty = shard.split("tuning")
    none = type(empty)(**{name: value[:0] for name, value in vars(empty).items()})
    monkeypatch.setattr(type(shard), "split", lambda self, name: none)
    sums = evaluate_loss(model_of("bce"), shard, "tuning", CONTEXT)
    assert (sums.nats, sums.tokens, sums.events) == (0.0, 0, 0)
