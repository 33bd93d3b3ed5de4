"""The broken power law: recovery of breaks of both kinds, noise, units, refusals."""

import numpy as np
import pytest

from analysis.laws.broken_power import BrokenPower
from analysis.laws.power_law import PowerLaw
from analysis.uncertainty.profile import profile_interval
from analysis.uncertainty.without_effect import without_effect
from wardlaw.errors import RecordError

SIZE = np.geomspace(1e4, 1e10, 25)
STEEPENING = {"a": 1.5, "b": 50.0, "c0": 0.3, "c1": 0.4, "d1": 1e7, "f1": 0.5}


def loss(size, a, b, c0, c1, d1, f1):
    return a + b * size**-c0 * (1 + (size / d1) ** (1 / f1)) ** (-c1 * f1)


@pytest.mark.parametrize(
    "truth",
    [
        STEEPENING,
        STEEPENING | {"f1": 0.05},
        {"a": 1.0, "b": 2000.0, "c0": 0.6, "c1": -0.5, "d1": 1e6, "f1": 0.8},
        {"a": 2.0, "b": 1.0, "c0": -0.1, "c1": 0.6, "d1": 1e7, "f1": 0.4},
        {"a": 1.0, "b": 3.0, "c0": 0.2, "c1": -0.6, "d1": 1e7, "f1": 0.3},
    ],
    ids=["steepens", "sharply", "flattens", "rises first", "rises after"],
)
def test_noise_free_curve_is_recovered(truth):
    law = BrokenPower().fit(SIZE, loss(SIZE, **truth))
    for name, value in truth.items():
        assert law.params_[name] == pytest.approx(value, rel=1e-6)
    np.testing.assert_allclose(law.predict(SIZE), loss(SIZE, **truth), rtol=1e-10)


def test_units_of_the_size_scale_the_break_and_b_alone():
    law = BrokenPower().fit(SIZE / 1e6, loss(SIZE, **STEEPENING))
    for name, value in (STEEPENING | {"b": 50 * 1e6**-0.3, "d1": 10.0}).items():
        assert law.params_[name] == pytest.approx(value, rel=1e-6)


def test_units_of_the_loss_scale_a_and_b_alone():
    law = BrokenPower().fit(SIZE, 1000 * loss(SIZE, **STEEPENING))
    for name, value in (STEEPENING | {"a": 1500.0, "b": 50_000.0}).items():
        assert law.params_[name] == pytest.approx(value, rel=1e-6)


def test_noise_leaves_the_truth_inside_its_profile_interval():
    noise = np.exp(0.003 * np.random.default_rng(1).normal(size=len(SIZE)))
    law = BrokenPower().fit(SIZE, loss(SIZE, **STEEPENING) * noise)
    assert law.convergence_.converged
    for name in ("a", "c0", "c1", "d1", "f1"):
        assert profile_interval(law, name).covers(STEEPENING[name])


@pytest.mark.parametrize("held", [("d1", "f1"), ("b",), ("c0", "c1")])
def test_held_parameters_are_kept_and_the_others_recovered(held):
    law = BrokenPower().fit(SIZE, loss(SIZE, **STEEPENING), fixed={name: STEEPENING[name] for name in held})
    for name, value in STEEPENING.items():
        assert law.params_[name] == pytest.approx(value, rel=1e-6)


def test_it_predicts_beyond_a_break_what_a_power_law_cannot():
    seen = SIZE < 1e9
    losses = loss(SIZE, **STEEPENING)
    broken, power = (law.fit(SIZE[seen], losses[seen]) for law in (BrokenPower(), PowerLaw()))
    off = [np.abs(law.predict(SIZE[~seen]) / losses[~seen] - 1).max() for law in (broken, power)]
    assert off[0] < 1e-6
    assert off[1] > 0.01


def test_a_flat_slope_change_leaves_the_break_without_effect():
    law = BrokenPower().fit(SIZE, loss(SIZE, **STEEPENING), fixed={"c1": 0.0})
    assert without_effect(law, SIZE[:, None]) == ["d1", "f1"]


def test_too_few_sizes_are_refused():
    with pytest.raises(RecordError, match="6 parameters to fit but the 5 runs have only 5"):
        BrokenPower().fit(SIZE[:5], np.linspace(3, 2, 5))
