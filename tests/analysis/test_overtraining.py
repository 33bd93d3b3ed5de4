"""The over-training law: the authors' code form, Chinchilla's with one exponent, recovery, units."""

import numpy as np
import pytest

from analysis.laws.chinchilla import Chinchilla
from analysis.laws.overtraining import Overtraining
from analysis.solvers.objective import SQUARES
from wardlaw.errors import RecordError

GRID = np.array([(n, m * n) for n in np.geomspace(1e7, 4e8, 5) for m in (5.0, 20.0, 80.0, 320.0)])
# What the authors fit to RedPajama runs evaluated on C4, by their code's names.
P1, P2, POWER, FLOOR = 166.21, 366.69, -0.27285, 1.83665
PUBLISHED = {"E": FLOOR, "a": P1 * 6 ** (-POWER / 2), "b": P2, "eta": -POWER / 2}


def loss_as_their_code_has_it(size, ratio):
    return P1 * size**POWER + P2 * 6 ** (POWER / 2) * (ratio * size) ** POWER + FLOOR


def test_published_parameters_are_those_of_the_papers_form():
    size, tokens = GRID.T
    law = Overtraining(SQUARES).fit(GRID, loss_as_their_code_has_it(size, tokens / size))
    for name, value in PUBLISHED.items():
        assert law.params_[name] == pytest.approx(value, rel=1e-6)
    floor, a, b, eta = law.params_.values()
    ratio, compute = tokens / size, 6 * size * tokens
    np.testing.assert_allclose(
        law.predict(GRID), floor + (a * ratio**eta + b * ratio**-eta) * compute**-eta, rtol=1e-10
    )


def test_it_is_chinchillas_law_with_one_exponent():
    loss = loss_as_their_code_has_it(GRID[:, 0], GRID[:, 1] / GRID[:, 0])
    law, wider = Overtraining().fit(GRID, loss), Chinchilla().fit(GRID, loss)
    eta = law.params_["eta"]
    assert wider.params_["alpha"] == pytest.approx(2 * eta, rel=1e-6)
    assert wider.params_["beta"] == pytest.approx(2 * eta, rel=1e-6)
    assert wider.params_["A"] == pytest.approx(law.params_["a"] * 6**-eta, rel=1e-6)
    assert wider.params_["B"] == pytest.approx(law.params_["b"] * 6**-eta, rel=1e-6)


def test_variable_projection_finds_the_same():
    noise = 1 + 0.002 * np.random.default_rng(0).normal(size=len(GRID))
    loss = loss_as_their_code_has_it(GRID[:, 0], GRID[:, 1] / GRID[:, 0]) * noise
    newton, projected = Overtraining(SQUARES).fit(GRID, loss), Overtraining().fit_projected(GRID, loss)
    for name, value in newton.params_.items():
        assert projected.params_[name] == pytest.approx(value, rel=1e-5)
    assert newton.params_["eta"] == pytest.approx(PUBLISHED["eta"], rel=0.05)


def test_one_unit_of_both_inputs_changes_neither_the_floor_nor_the_exponent():
    loss = loss_as_their_code_has_it(GRID[:, 0], GRID[:, 1] / GRID[:, 0])
    millions = Overtraining().fit(GRID / 1e6, loss)
    assert millions.params_["E"] == pytest.approx(FLOOR, rel=1e-6)
    assert millions.params_["eta"] == pytest.approx(PUBLISHED["eta"], rel=1e-6)
    assert millions.params_["b"] == pytest.approx(P2 * 1e6**POWER, rel=1e-6)


def test_runs_at_one_ratio_of_tokens_to_size_are_refused():
    inputs = np.column_stack([GRID[:, 0], 20 * GRID[:, 0]])
    with pytest.raises(RecordError, match="N and D grow together"):
        Overtraining().fit(inputs, np.linspace(3, 2, len(inputs)))
