import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from client.ehr.loss import LossSums, evaluate_loss, patient_nats
from client.ehr.positions import window_positions
from client.ehr.shard import TokenSplit
from models.ehr.packed import PackedBatch
from models.registry import build_model
from wardlaw.config import RunConfig

VOCABULARY_SIZE = 40


def make_split(sizes: list[int]) -> TokenSplit:
    random = np.random.default_rng(0)
    lengths = np.array(sizes, np.int64)
    total = int(lengths.sum())
    return TokenSplit(
        tokens=random.integers(0, VOCABULARY_SIZE, total).astype(np.uint16),
        minutes=np.concatenate([np.sort(random.integers(0, 9999, n)) for n in sizes]).astype(np.int32),
        starts_event=np.ones(total, np.uint8),
        subject_ids=np.arange(len(sizes)),
        first_token=np.cumsum(lengths) - lengths,
        lengths=lengths,
        events=lengths // 2,
        origin=np.zeros(len(sizes), "datetime64[us]"),
    )


@pytest.mark.parametrize("scheme", ["ethos", "fused"])
def test_sums_equal_a_loop_over_patients_in_float64(scheme: str) -> None:
    split = make_split([1, 2, 40, 17, 33, 9, 1])
    model = build_model(RunConfig(), VOCABULARY_SIZE)
    nats = patient_nats(model, split, scheme, context=16, batch_tokens=48)
    sums = evaluate_loss(model, split, scheme, context=16, batch_tokens=48)
    model.double()
    expected = np.zeros(len(split.lengths))
    for patient, (first, length) in enumerate(zip(split.first_token, split.lengths, strict=True)):
        tokens = split.tokens[first : first + length].astype(np.int64)
        minutes = split.minutes[first : first + length]
        for start in range(0, length - 1, 16):
            inputs, targets = tokens[start : min(start + 16, length - 1)], tokens[start + 1 : start + 17]
            window = PackedBatch(
                torch.from_numpy(inputs),
                torch.from_numpy(targets),
                torch.from_numpy(window_positions(scheme, minutes[start : start + len(inputs)])),
                (len(inputs),),
            )
            with torch.no_grad():
                logits = model.logits(model.hidden(window))
            expected[patient] += cross_entropy(logits, window.targets, reduction="sum").item()
    np.testing.assert_allclose(nats, expected, rtol=1e-6)
    assert sums.nats == pytest.approx(expected.sum(), rel=1e-6)
    assert sums == LossSums(
        sums.nats, tokens=96, events=sum(n // 2 for n in [1, 2, 40, 17, 33, 9]), patients=7
    )
    assert nats[0] == nats[6] == 0


def test_the_batch_does_not_change_the_sums() -> None:
    split = make_split([30, 12, 55, 8])
    model = build_model(RunConfig(), VOCABULARY_SIZE)
    sums = [evaluate_loss(model, split, "ethos", context=16, batch_tokens=t).nats for t in (16, 100, 4096)]
    np.testing.assert_allclose(sums, sums[0], rtol=1e-6)


def test_a_split_without_targets_has_no_loss() -> None:
    model = build_model(RunConfig(), VOCABULARY_SIZE)
    for sizes in ([], [1, 1]):
        lengths = make_split(sizes or [1])
        split = lengths if sizes else TokenSplit(*(value[:0] for value in vars(lengths).values()))
        sums = evaluate_loss(model, split, "ethos", context=16, batch_tokens=32)
        assert (sums.nats, sums.tokens, sums.patients) == (0.0, 0, len(sizes))
