"""A site's update as it may be masked."""

import numpy as np
import pytest

from client.privacy.secret import new_secret
from client.secagg.update import levels, require_bounded, weight_level
from wardlaw.errors import TrainingError
from wardlaw.secagg.counts import COUNTS, Counts
from wardlaw.secagg.quantisation import Quantisation

QUANTISATION = Quantisation(0.5, 16)


def test_updates_out_of_bounds():
    require_bounded(np.array([0.6, -0.8]), 1.0001, 0.8)
    for update, word in (
        ([0.6, -0.8], "norm 1 is above"),
        ([0.1, -0.81], "coordinate"),
        ([0.1, np.inf], "not finite"),
        ([np.nan], "not finite"),
    ):
        with pytest.raises(TrainingError, match=word):
            require_bounded(np.array(update), 0.999 if word.startswith("norm") else 2.0, 0.8)


def test_weights_are_shares_of_the_cap():
    largest = QUANTISATION.largest
    assert weight_level(10, 5, QUANTISATION) == weight_level(5, 5, QUANTISATION) == largest
    assert weight_level(1, 4, QUANTISATION) == round(largest / 4)
    assert weight_level(1, 10**12, QUANTISATION) == 1


def test_levels_are_of_the_weighted_update_and_its_weight():
    update = np.linspace(-0.5, 0.5, 101)
    half = round(QUANTISATION.largest / 2)
    found = levels(update, Counts(half, 70_000), QUANTISATION, 0.0, new_secret(), "run")
    assert Counts.of(found[-COUNTS:]) == Counts(half, 70_000)
    expected = update * half / QUANTISATION.largest
    assert np.abs(QUANTISATION.real(found[:-COUNTS]) - expected).max() <= QUANTISATION.step


def test_noise_is_the_same_for_the_same_update_only():
    secret, update = new_secret(), np.zeros(5000)
    first = levels(update, Counts(1, 10), QUANTISATION, 0.1, secret, "run")
    assert np.array_equal(first, levels(update, Counts(1, 10), QUANTISATION, 0.1, secret, "run"))
    assert QUANTISATION.real(first[:-COUNTS]).std() == pytest.approx(0.1, rel=0.05)
    other = update.copy()
    other[0] = 1e-9
    for changed in (
        levels(other, Counts(1, 10), QUANTISATION, 0.1, secret, "run"),
        levels(update, Counts(1, 10), QUANTISATION, 0.1, secret, "other run"),
        levels(update, Counts(1, 10), QUANTISATION, 0.1, new_secret(), "run"),
    ):
        assert (changed[1:-COUNTS] != first[1:-COUNTS]).mean() > 0.9
