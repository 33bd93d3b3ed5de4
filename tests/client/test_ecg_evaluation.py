"""Diagnoses by frozen features, an attention head, fine-tuning: the label of each record is in its signal."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score
from torch import nn

from client.ecg.classes import CLASSES
from client.ecg.crops import RAIL, even_starts
from client.ecg.evaluation import finetune
from client.ecg.evaluation.answers import Answers, Cohorts, learnable
from client.ecg.evaluation.attention_head import AttentionHead
from client.ecg.evaluation.cohort import Cohort, Part, cohort_of, never_seen
from client.ecg.evaluation.early_stop import keep_best
from client.ecg.evaluation.methods import METHODS
from client.ecg.evaluation.readout import pooled_features, record_means
from client.ecg.evaluation.scores import outputs_of, score
from client.ecg.record import EcgRecord
from client.ecg.request import ShardSettings
from client.ecg.scoring.challenge import challenge_metric
from client.ecg.scoring.figures import Predictions
from client.ecg.shard import SPLITS, SignalShard
from client.ecg.shard_writer import write_shard
from models.ecg.backbone import Backbone
from models.ecg.model import EcgModel, build_ecg_model
from wardlaw.config import RunConfig, from_flat
from wardlaw.errors import ConfigError, DataError
from wardlaw.seeds import generator

CONTEXT = 256
LOUD, BURST = "164889003", "427172004"
NUMBER = {code: CLASSES.index(code) for code in (LOUD, BURST)}
V1 = 6


def record(name: str, rng: np.random.Generator, **changes: object) -> EcgRecord:
    """Noise, and in V1 a tone: LOUD by its loudness, BURST if its energy comes at once."""
    samples = int(rng.integers(200, 900))
    leads = rng.normal(scale=0.1, size=(samples, 12))
    one, two = leads[:, 0], leads[:, 1]
    limbs = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    leads[:, :6] = np.stack(limbs, axis=1)
    loudness, burst = rng.lognormal(sigma=0.5), bool(rng.random() < 0.4)
    shape = np.ones(samples)
    if burst:
        start = int(rng.integers(0, samples - 60))
        shape = np.zeros(samples)
        shape[start : start + 60] = np.sqrt(samples / 60)
    leads[:, V1] += 0.3 * loudness * shape * np.sin(np.arange(samples) * 2 * np.pi * 0.1)
    loud = loudness * rng.lognormal(sigma=0.2) > 1.1
    diagnoses = ((LOUD,) if loud else ()) + ((BURST,) if burst else ())
    values = {
        "name": name,
        "patient": name,
        "digital": np.round(leads * 1000).astype(np.int32),
        "gain": np.full(12, 1000.0),
        "baseline": np.zeros(12),
        "rate": 100.0,
        "diagnoses": diagnoses,
    }
    return EcgRecord(**(values | changes))  # type: ignore[arg-type]


def records(site: str, count: int) -> list[EcgRecord]:
    return [record(f"{site}-{n}", generator(0, site, n)) for n in range(count)]


def write(folder, made, site, source="tones"):
    write_shard(folder, made, ShardSettings(rate=100.0), site=site, source=source, synthetic=True)
    return SignalShard.open(folder)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    return {site: write(folder / site, records(site, 150), site) for site in ("east", "west")}


@pytest.fixture(scope="module")
def cohorts(shards):
    west = cohort_of({"west": shards["west"]}, "held_out")
    east = {"east": shards["east"]}
    return Cohorts(
        cohort_of(shards, "train"), cohort_of(shards, "tuning"), west + cohort_of(east, "held_out")
    )


def config(**changes) -> RunConfig:
    settings = {
        "run.topology": "centralised",
        "model.family": "resnet",
        "model.size": "20k",
        "model.context": CONTEXT,
        "objective.name": "reconstruction",
    }
    return from_flat(settings | {key.replace("__", "."): value for key, value in changes.items()})


class Power(Backbone):
    """Mean square of V1 in each patch: features that are known."""

    def __init__(self) -> None:
        super().__init__()
        self.stride, self.width, self.depth, self.width_ratio = 16, 1, 1, 1.0

    def layers(self, signals):
        power = signals[..., V1].unflatten(1, (-1, self.stride)).square().mean(2)[..., None]
        return power, power

    def forward_flops(self, samples):
        return 2.0 * samples


def with_power() -> EcgModel:
    model = build_ecg_model(config(), len(CLASSES))
    model.backbone = Power()
    return model


def powers(cohort: Cohort) -> np.ndarray:
    """What the mean feature of each record must be, from the shard's samples alone."""
    means = []
    for part in cohort.parts:
        split, (center, scale) = part.records, part.shard.scaling
        for row in part.rows:
            samples = int(split.samples[row])
            whole = (split.crop(row, 0, samples)[:, V1].astype(np.float64) - center[V1]) / scale[V1]
            whole = np.clip(whole, -RAIL, RAIL)
            crops = [whole[start : start + CONTEXT] for start in even_starts(samples, CONTEXT)]
            means.append(np.mean([(crop[: len(crop) // 16 * 16] ** 2).mean() for crop in crops]))
    return np.array(means)


def power_means(cohort: Cohort) -> np.ndarray:
    backbone = Power()
    return record_means(lambda batch: pooled_features(backbone, batch), cohort, CONTEXT, torch.device("cpu"))[
        :, 0
    ]


def test_a_record_is_the_mean_of_its_crops_and_a_crop_of_its_own_patches(cohorts):
    samples = np.concatenate([part.records.samples[part.rows] for part in cohorts.asked.parts])
    assert samples.min() < CONTEXT < 2 * CONTEXT < samples.max()
    np.testing.assert_allclose(power_means(cohorts.asked), powers(cohorts.asked), rtol=1e-5)


def test_some_rows_of_a_split_have_the_same_features_as_alone(shards):
    whole = cohort_of({"east": shards["east"]}, "train")
    rows = np.array([7, 2, 60])
    some = Cohort((Part("east", shards["east"], "train", rows),))
    np.testing.assert_allclose(power_means(some), power_means(whole)[rows], rtol=1e-6)
    assert some.names.tolist() == whole.names[rows].tolist()
    np.testing.assert_array_equal(some.labels, whole.labels[rows])


def test_the_linear_probe_ranks_as_its_one_feature_does(cohorts):
    answers = METHODS["linear"](with_power(), cohorts, config())
    loud = cohorts.asked.labels[:, NUMBER[LOUD]]
    expected = roc_auc_score(loud, powers(cohorts.asked))
    assert expected > 0.85
    assert roc_auc_score(loud, answers.asked[:, NUMBER[LOUD]]) == pytest.approx(expected, abs=1e-12)
    assert 0.3 < answers.tuning[:, NUMBER[LOUD]].mean() < 0.7


@pytest.mark.parametrize("method", ["linear", "attention"])
def test_a_class_that_train_lacks_has_no_answer(cohorts, method):
    answers = METHODS[method](with_power(), cohorts, config())
    assert np.flatnonzero(answers.answered).tolist() == sorted(NUMBER.values())
    assert not answers.asked[:, ~answers.answered].any()
    assert (answers.asked[:, answers.answered] > 0).all()


def test_attention_finds_what_the_mean_feature_hides(cohorts):
    burst = cohorts.asked.labels[:, NUMBER[BURST]]
    model, before = with_power(), config()
    linear = METHODS["linear"](model, cohorts, before).asked[:, NUMBER[BURST]]
    attended = METHODS["attention"](model, cohorts, before).asked[:, NUMBER[BURST]]
    again = METHODS["attention"](model, cohorts, before).asked[:, NUMBER[BURST]]
    np.testing.assert_array_equal(attended, again)
    assert roc_auc_score(burst, linear) < 0.75
    assert roc_auc_score(burst, attended) > 0.9


def test_the_attention_head_begins_as_frequencies_and_reads_own_patches_alone():
    rng = generator(0, "head")
    features = torch.from_numpy(rng.normal(size=(4, 6, 3)))
    frequency = torch.tensor([0.2, 0.5], dtype=torch.float64)
    head = AttentionHead(features.flatten(0, 1), frequency).double()
    own = torch.arange(6) < torch.tensor([6, 3, 1, 0])[:, None]
    torch.testing.assert_close(head(features, own).sigmoid(), frequency.expand(4, 2))
    for layer in (head.attention, head.answer):
        layer.weight.data = torch.from_numpy(rng.normal(size=(2, 3)))
    center, scale = features.mean((0, 1)), features.std((0, 1), correction=0)
    found = head(features, own)
    for row, count in enumerate([6, 3, 1, 1]):
        patches = ((features[row] - center) / scale)[:count].numpy()
        attention_, answer = (
            patches @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
            for layer in (head.attention, head.answer)
        )
        weights = np.exp(attention_) / np.exp(attention_).sum(0)
        np.testing.assert_allclose(found[row].detach().numpy(), (weights * answer).sum(0), rtol=1e-10)


def test_training_stops_late_and_goes_back_to_the_best_weights():
    model = nn.Linear(1, 1, bias=False)
    losses = [3.0, 2.0, 2.5, 1.0, 1.5, 1.0, 0.5]

    def weight() -> int:
        return int(model.weight.item())

    def stages():
        for step in range(1, len(losses)):
            with torch.no_grad():
                model.weight.fill_(step)
            yield

    with torch.no_grad():
        model.weight.fill_(0)
    assert keep_best(model, stages(), lambda: losses[weight()], patience=2) == 1.0
    assert weight() == 3
    with torch.no_grad():
        model.weight.fill_(0)
    assert keep_best(model, stages(), lambda: float(weight()), patience=9) == 0.0
    assert weight() == 0


def test_fine_tuning_learns_and_leaves_the_model_as_it_was(cohorts):
    model = build_ecg_model(config(), len(CLASSES))
    supervised = build_ecg_model(config(objective__name="bce"), len(CLASSES))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    own = METHODS["own"](supervised, cohorts, config())
    tuned = METHODS["finetune"](model, cohorts, config())
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    loud = cohorts.asked.labels[:, NUMBER[LOUD]]
    untrained, trained = (roc_auc_score(loud, answers.asked[:, NUMBER[LOUD]]) for answers in (own, tuned))
    assert trained > 0.85
    assert trained > untrained + 0.1


def test_fine_tuning_goes_on_from_backbone_and_head(cohorts, monkeypatch):
    monkeypatch.setattr(finetune, "PATIENCE", 1)
    monkeypatch.setattr(finetune, "LEARNING_RATE", 1e-12)
    supervised = build_ecg_model(config(objective__name="asymmetric"), len(CLASSES))
    tuned = finetune.finetune(supervised, cohorts, config(objective__name="asymmetric"))
    for name, value in supervised.state_dict().items():
        torch.testing.assert_close(tuned.state_dict()[name], value, rtol=0, atol=1e-6)
    other = build_ecg_model(config(run__seed=5), len(CLASSES))
    tuned = finetune.finetune(other, cohorts, config())
    torch.testing.assert_close(tuned.backbone.state_dict(), other.backbone.state_dict(), rtol=0, atol=1e-6)
    rate = cohorts.train.labels[:, NUMBER[BURST]].mean()
    bias = tuned.state_dict()["objective.head.bias"][NUMBER[BURST]].sigmoid().item()
    assert bias == pytest.approx(rate, abs=0.01)


def test_fine_tuning_trains_on_diagnoses_with_the_run_s_own_means():
    settings = finetune.finetuning_config(config(train__threads=2, train__precision="bf16", run__seed=4))
    assert (settings.objective.name, settings.run.seed, settings.train.threads) == ("bce", 4, 2)
    assert (settings.train.precision, settings.steps, settings.model.context) == (
        "bf16",
        finetune.STEPS,
        CONTEXT,
    )


def test_a_model_without_a_head_has_no_answers_of_its_own(cohorts):
    with pytest.raises(ConfigError, match=r"'reconstruction' trains no head.*linear"):
        METHODS["own"](build_ecg_model(config(), len(CLASSES)), cohorts, config())


def test_an_empty_split_is_refused_in_words(shards, cohorts):
    with pytest.raises(DataError, match="no record is tuning"):
        Cohorts(cohorts.train, Cohort(()), cohorts.asked)


def drawn(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = generator(seed, "answers")
    labels = (rng.random((count, 26)) < rng.uniform(0.05, 0.6, 26)).astype(np.uint8)
    labels[:, 3] = 0
    return labels, np.clip(rng.beta(2, 2, (count, 26)) + 0.3 * labels, 0, 1)


def best_f(labels: np.ndarray, scores: np.ndarray) -> float:
    candidates = sorted(set(scores.tolist()))
    return max(candidates, key=lambda threshold: (f1_score(labels, scores >= threshold), threshold))


def test_thresholds_come_from_tuning_and_from_nothing_else():
    (tuning_labels, tuning), (_, asked) = drawn(60, 1), drawn(80, 2)
    answered = np.arange(26) != 7
    outputs = outputs_of(Answers(tuning, asked, answered), tuning_labels)
    for number in (0, 11, 25):
        threshold = best_f(tuning_labels[:, number], tuning[:, number])
        np.testing.assert_array_equal(outputs[:, number], asked[:, number] >= threshold)
    assert not outputs[:, 7].any()
    some = outputs_of(Answers(tuning, asked[:5], answered), tuning_labels)
    np.testing.assert_array_equal(some, outputs[:5])


def test_scores_are_means_over_the_classes_that_can_be_scored():
    labels, scores = drawn(120, 3)
    outputs = (scores > 0.6).astype(np.uint8)
    answered = np.arange(26) % 5 != 0
    outputs *= answered.astype(np.uint8)
    patients = np.array([f"p{n // 2}" for n in range(120)])
    found = score(Predictions(labels, outputs, scores), answered, patients, resamples=200, seed=0)
    scored = [n for n in range(26) if answered[n] and 0 < labels[:, n].sum() < 120]
    assert 3 not in scored
    columns = [(labels[:, n], scores[:, n], outputs[:, n]) for n in scored]
    assert found.auroc.value == pytest.approx(np.mean([roc_auc_score(y, s) for y, s, _ in columns]))
    assert found.auprc.value == pytest.approx(np.mean([average_precision_score(y, s) for y, s, _ in columns]))
    assert found.f_measure.value == pytest.approx(np.mean([f1_score(y, o) for y, _, o in columns]))
    whole = challenge_metric(labels.astype(float), outputs.astype(float), np.ones((1, 120)))
    assert found.challenge_metric.value == pytest.approx(whole[0])
    p, y = scores[:, answered], labels[:, answered]
    assert found.loss == pytest.approx(
        -np.mean(np.log(np.maximum(np.where(y == 1, p, 1 - p), 1e-7))), rel=1e-12
    )
    assert (found.classes, found.records, found.patients) == (len(scored), 120, 60)
    assert found.positives == labels[:, scored].sum()
    assert found.prevalence == pytest.approx(labels[:, scored].mean())
    for name in ("auroc", "auprc", "f_measure", "challenge_metric"):
        interval = getattr(found, name)
        assert interval.low < interval.value < interval.high


def test_without_resamples_or_classes_there_are_no_figures():
    labels, scores = drawn(10, 4)
    found = score(
        Predictions(labels, labels, scores),
        np.zeros(26, bool),
        np.array([str(n) for n in range(10)]),
        resamples=0,
        seed=0,
    )
    assert found.classes == found.labels == 0
    for value in (found.auroc.value, found.prevalence, found.loss, found.challenge_metric.low):
        assert np.isnan(value)
    assert found.challenge_metric.value == pytest.approx(1.0)


def test_what_is_learnable_has_both_answers():
    labels = np.array([[0, 1, 1], [0, 1, 0]], np.uint8)
    assert learnable(labels).tolist() == [False, False, True]


def test_patients_and_signals_of_the_run_s_sites_are_never_unseen(shards, tmp_path):
    known = cohort_of({"east": shards["east"]}, *SPLITS)
    theirs = records("east", 3)
    rng = generator(0, "other")
    copied = record("copy", rng, digital=theirs[0].digital, diagnoses=theirs[0].diagnoses)
    again = record("again", rng, patient=theirs[1].patient)
    same_site = record("returned", rng, patient=theirs[2].patient)
    new = [record(f"new-{n}", rng) for n in range(20)]
    north = write(tmp_path / "north", [copied, again, *new], "north")
    # Another hospital's patient of the same number, from another source, is someone else.
    namesake = write(tmp_path / "south", [same_site, *records("south", 19)], "south", source="others")
    renamed = write(tmp_path / "east", [same_site, *records("later", 19)], "east", source="others")
    kept, left_out = never_seen({"north": north, "south": namesake, "east": renamed}, known)
    assert left_out == {"north": 2, "east": 1}
    assert sorted(kept.at({"north"}).names) == sorted(one.name for one in new)
    assert "returned" in kept.at({"south"}).names
    assert "returned" not in kept.at({"east"}).names
    assert len(kept) == 20 + 20 + 19
    assert not set(kept.at({"north", "east"}).patients) & set(known.patients)
