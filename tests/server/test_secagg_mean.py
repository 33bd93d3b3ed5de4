"""The mean that comes of an unmasked sum."""

import numpy as np
import pytest

from server.secagg.mean import mean_of
from wardlaw.errors import RoundError
from wardlaw.secagg.counts import Counts
from wardlaw.secagg.quantisation import Quantisation


def levels_of(quantisation, update, counts):
    """Of an update that falls on levels."""
    rounded = quantisation.quantise(
        np.array(update) * counts.weight / quantisation.largest, np.full(len(update), 0.5)
    )
    return np.concatenate([rounded, counts.words()])


def test_the_mean_of_a_sum_of_levels():
    quantisation = Quantisation(1.0, 20)
    start = {"a": np.array([[1.0, 2.0]], np.float32), "b": np.array([-1.0], np.float32)}
    full = quantisation.largest
    total = levels_of(quantisation, [0.5, -0.5, 0.25], Counts(full, 100_000))
    total += levels_of(quantisation, [-0.1, 0.3, 0.0], Counts(full // 2, 40_000))
    mean = mean_of(total, 2, start, quantisation)
    # (0.5 - 0.05) / 1.5 and so on.
    assert mean.models["a"] == pytest.approx(np.array([[1.3, 2 - 0.35 / 1.5]]), abs=mean.error)
    assert mean.models["b"] == pytest.approx(np.array([-1 + 0.25 / 1.5]), abs=mean.error)
    assert mean.weight == pytest.approx(1.5, rel=1e-5)
    assert mean.error == pytest.approx(6 * quantisation.step / mean.weight)
    assert mean.size == 3
    assert mean.examples == 140_000


@pytest.mark.parametrize("level", [1, -5, 3 * Quantisation(1.0, 20).largest])
def test_sums_of_weights_that_cannot_be_fail_the_round(level):
    total = np.array([0, level, 0, 0], np.int32).view(np.uint32)
    with pytest.raises(RoundError, match="the sum of 2 weights cannot be"):
        mean_of(total, 2, {"a": np.zeros(1, np.float32)}, Quantisation(1.0, 20))


def test_sums_of_examples_that_cannot_be_fail_the_round():
    total = np.array([0, 2, -1, 0], np.int32).view(np.uint32)
    with pytest.raises(RoundError, match="cannot have -65536 examples"):
        mean_of(total, 2, {"a": np.zeros(1, np.float32)}, Quantisation(1.0, 20))
