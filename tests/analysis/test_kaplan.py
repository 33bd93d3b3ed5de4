"""Kaplan's joint law: recovery, limits, noise, units, held parameters."""

import numpy as np
import pytest

from analysis.laws.kaplan import Kaplan
from analysis.uncertainty.profile import profile_interval
from wardlaw.errors import RecordError

GRID = np.array([(n, d) for n in np.geomspace(1e6, 1e9, 6) for d in np.geomspace(1e8, 1e11, 5)])
# Exponents and scales of arXiv 2001.08361, table 2 with a floor; a steeper law with sizes of interest.
KAPLAN = {"E": 0.5, "A": 6.4e13, "B": 1.8e13, "alpha": 0.076, "beta": 0.103}
STEEP = {"E": 1.69, "A": 4.7e7, "B": 2e9, "alpha": 0.34, "beta": 0.28}


def loss(inputs, E, A, B, alpha, beta):
    return E + ((A / inputs[:, 0]) ** (alpha / beta) + B / inputs[:, 1]) ** beta


@pytest.mark.parametrize("truth", [KAPLAN, STEEP, STEEP | {"E": 0.01, "beta": 0.9}])
def test_noise_free_surface_is_recovered(truth):
    law = Kaplan().fit(GRID, loss(GRID, **truth))
    for name, value in truth.items():
        assert law.params_[name] == pytest.approx(value, rel=1e-6)
    np.testing.assert_allclose(law.predict(GRID), loss(GRID, **truth), rtol=1e-10)


def test_units_of_the_inputs_scale_a_and_b_alone():
    law = Kaplan().fit(GRID / [1e6, 1e9], loss(GRID, **STEEP))
    expected = STEEP | {"A": STEEP["A"] / 1e6, "B": STEEP["B"] / 1e9}
    for name, value in expected.items():
        assert law.params_[name] == pytest.approx(value, rel=1e-6)


def test_noise_leaves_the_truth_inside_its_profile_interval():
    noise = np.exp(0.003 * np.random.default_rng(1).normal(size=len(GRID)))
    law = Kaplan().fit(GRID, loss(GRID, **STEEP) * noise)
    assert law.convergence_.converged
    for name in ("E", "alpha", "beta"):
        interval = profile_interval(law, name)
        assert interval.covers(STEEP[name])
        assert interval.high - interval.low < 0.05 * STEEP[name]


@pytest.mark.parametrize("name", list(STEEP))
def test_a_held_parameter_keeps_its_value_and_the_others_are_recovered(name):
    law = Kaplan().fit(GRID, loss(GRID, **STEEP), fixed={name: STEEP[name]})
    for other, value in STEEP.items():
        assert law.params_[other] == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (GRID * [1, 0] + [0, 1e9], "same D"),
        (np.column_stack([GRID[:, 0], 20 * GRID[:, 0]]), "grow together"),
        (GRID[[0, 7, 14, 21]], "5 parameters to fit but the 4 runs have only 4"),
    ],
)
def test_designs_that_cannot_determine_the_law_are_refused(inputs, message):
    with pytest.raises(RecordError, match=message):
        Kaplan().fit(inputs, np.linspace(3, 2, len(inputs)))
