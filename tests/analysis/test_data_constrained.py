"""The data-constrained law against its published fit, a loop over its equation, and exact surfaces."""

import json
from math import exp, log, sqrt

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize
from typer.testing import CliRunner

from analysis.cli import app
from analysis.fits.table_fit import Request, fit_table
from analysis.laws.data_constrained import DataConstrained
from analysis.solvers.local_model import huber
from analysis.tables.run_table import read_runs
from analysis.uncertainty.profile import log_likelihood, profile_interval
from analysis.uncertainty.without_effect import without_effect
from wardlaw.errors import RecordError

TRUTH = {"E": 1.87, "A": 521.0, "B": 1488.0, "alpha": 0.35, "beta": 0.37, "R_D": 12.0, "R_N": 4.0}
GRID = np.array(
    [
        (n, epochs * u, u)
        for n in np.geomspace(1e7, 1e10, 5)
        for u in (1e8, 1e9, 1e10)
        for epochs in (1.0, 4.0, 16.0, 64.0)
    ]
)


def loss(inputs, E, A, B, alpha, beta, R_D, R_N):
    """The paper's equations, one run at a time."""
    balance = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    losses = []
    for size, tokens, unique in inputs.tolist():
        seen = min(unique, tokens)
        useful = min(size, (seen * balance) ** (beta / alpha) * balance)
        repeats, excess = tokens / seen - 1, size / useful - 1
        worth_of_tokens = seen + seen * R_D * (1 - exp(-repeats / R_D))
        worth_of_size = useful + useful * R_N * (1 - exp(-excess / R_N))
        losses.append(E + A / worth_of_size**alpha + B / worth_of_tokens**beta)
    return np.array(losses)


def predicted(inputs, params):
    """The law's curve at given parameters."""
    centre = np.zeros(3)
    theta = DataConstrained.internal(
        np.array([[params[name] for name in DataConstrained.parameters]]), centre
    )
    return np.exp(DataConstrained.curve(DataConstrained.features(np.asarray(inputs)), theta)[0][0])


@pytest.fixture(scope="module")
def published(shared_data):
    folder = shared_data / "scaling"
    if not (folder / "datablations").is_dir():
        pytest.skip(f"no scaling tables at {folder}")
    expected = json.loads((folder / "EXPECTED.json").read_text())["datablations"]
    fixed = expected["fixed"]
    held = {name: exp(fixed[name.lower()]) for name in ("A", "B", "E")}
    held |= {name: fixed[name] for name in ("alpha", "beta")}
    return folder / "datablations" / "datablations_fit182.csv", expected, held


@pytest.fixture(scope="module")
def runs(published):
    rows = pl.read_csv(published[0])
    return rows.select("N", "D", "U").to_numpy(), rows["loss"].to_numpy()


def test_published_predictions_at_the_published_parameters(published, runs):
    _, expected, held = published
    params = held | {"R_D": expected["R_D*"], "R_N": expected["R_N*"]}
    for *point, value in expected["check"]:
        assert predicted([point], params)[0] == pytest.approx(value, rel=1e-9)
    inputs, losses = runs
    law = predicted(inputs, params)
    assert huber(np.log(law / losses), 1e-3).sum() == pytest.approx(expected["sum_huber"], rel=1e-5)
    spread = ((losses - losses.mean()) ** 2).sum()
    assert 1 - ((losses - law) ** 2).sum() / spread == pytest.approx(expected["R2"], abs=1e-6)


def test_the_curve_is_the_papers_equations():
    np.testing.assert_allclose(predicted(GRID, TRUTH), loss(GRID, **TRUTH), rtol=1e-12)


def test_a_descent_from_moderate_decays_ends_at_the_published_fit(published, runs):
    _, expected, held = published
    inputs, losses = runs

    def objective(logs):
        off = np.log(predicted(inputs, held | dict(zip(("R_D", "R_N"), np.exp(logs), strict=True))) / losses)
        return 1e3 * huber(off, 1e-3).sum()

    found = minimize(objective, np.log([10.0, 10.0]), method="Nelder-Mead", options={"xatol": 1e-6})
    assert np.exp(found.x) == pytest.approx([expected["R_D*"], expected["R_N*"]], rel=0.005)
    assert found.fun / 1e3 == pytest.approx(expected["sum_huber"], rel=1e-5)


def test_the_fit_goes_on_to_a_lower_minimum_that_the_runs_do_not_tell_apart(published, runs):
    _, expected, held = published
    law = DataConstrained().fit(*runs, fixed=held)
    assert (law.n_, law.convergence_.converged) == (expected["n"], True)
    assert {name: law.params_[name] for name in held} == pytest.approx(held, rel=1e-12)
    assert law.objective_ == pytest.approx(0.01580466, rel=1e-5)
    assert law.params_["R_D"] == pytest.approx(95.37, rel=1e-3)
    assert law.params_["R_N"] == pytest.approx(1.706, rel=1e-3)
    published_likelihood, likelihood = (
        log_likelihood(value, law.n_, 1e-3) for value in (expected["sum_huber"], law.objective_)
    )
    assert 0 < likelihood - published_likelihood < 0.5


def test_the_published_fit_is_the_minimum_near_its_own_starts_and_stands_beside_the_lower_one(
    published, runs
):
    _, expected, held = published
    near = DataConstrained().fit_from({"R_D": 10.0, "R_N": 10.0}, *runs, fixed=held)
    assert near.params_["R_D"] == pytest.approx(expected["R_D*"], rel=0.005)
    assert near.params_["R_N"] == pytest.approx(expected["R_N*"], rel=0.005)
    assert near.objective_ == pytest.approx(expected["sum_huber"], rel=1e-5)
    others = DataConstrained().fit(*runs, fixed=held).convergence_.other_minima
    shown = [one.params for one in others if abs(one.params["R_D"] / expected["R_D*"] - 1) < 0.005]
    assert [one["R_N"] for one in shown] == [pytest.approx(expected["R_N*"], rel=0.005)]
    with pytest.raises(RecordError, match="Give R_D, R_N"):
        DataConstrained().fit_from({"R_D": 10.0}, *runs, fixed=held)


def test_the_fit_through_the_command_line(published, tmp_path):
    path, expected, held = published
    fixed = ",".join(f"{name}={value}" for name, value in held.items())
    command = ["fit", str(path), "--law", "data-constrained", "--fixed", fixed, "--bootstrap", "100"]
    result = CliRunner().invoke(app, [*command, "--json", str(tmp_path / "fit.json")])
    assert result.exit_code == 0, result.output
    fit = json.loads((tmp_path / "fit.json").read_text())
    assert (fit["n"], fit["points"], fit["dropped"]) == (182, 182, [])
    assert fit["objective"] < expected["sum_huber"]
    assert fit["fixed"] == pytest.approx(held)
    for name in ("R_D", "R_N"):
        assert fit["intervals"][name]["low"] < expected[f"{name}*"] < fit["intervals"][name]["high"]
    assert fit["intervals"]["A"] == {"low": None, "high": None}


def test_free_fit_of_the_published_runs_has_no_decay_of_excess_size(published):
    path, expected, _ = published
    fit = fit_table(read_runs(path), Request("data-constrained", replicates=100))
    assert fit.fit.law.objective_ < 0.42 * expected["sum_huber"]
    assert fit.params["R_D"] == pytest.approx(25.17, rel=0.01)
    assert fit.params["R_N"] == pytest.approx(1e9)
    assert "R_N went to a limit where no prediction depends on it" in fit.warnings


@pytest.mark.parametrize(
    "truth", [TRUTH, TRUTH | {"R_D": 2.0, "R_N": 40.0}, TRUTH | {"R_D": 100.0, "R_N": 1.0}]
)
def test_noise_free_surface_is_recovered(truth):
    law = DataConstrained().fit(GRID, loss(GRID, **truth))
    for name, value in truth.items():
        assert law.params_[name] == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("held", [("A",), ("B",), ("A", "B"), ("R_D",), ("E", "alpha")])
def test_held_parameters_keep_their_values_and_the_others_are_recovered(held):
    law = DataConstrained().fit(GRID, loss(GRID, **TRUTH), fixed={name: TRUTH[name] for name in held})
    for name, value in TRUTH.items():
        assert law.params_[name] == pytest.approx(value, rel=1e-6)


def test_units_of_size_and_of_tokens_scale_a_and_b_alone():
    law = DataConstrained().fit(GRID / [1e6, 1e9, 1e9], loss(GRID, **TRUTH))
    expected = TRUTH | {"A": TRUTH["A"] * 1e6**-0.35, "B": TRUTH["B"] * 1e9**-0.37}
    for name, value in expected.items():
        assert law.params_[name] == pytest.approx(value, rel=1e-6)


def test_jacobian_on_both_sides_of_the_best_size():
    features = DataConstrained.features(GRID)
    centre = DataConstrained.centre(features)
    theta = DataConstrained.internal(np.array([list(TRUTH.values())]), centre)
    _, jacobian = DataConstrained.curve(features - centre, theta)
    optimum = (log(TRUTH["alpha"] * TRUTH["A"] / (TRUTH["beta"] * TRUTH["B"])) + 0.37 * features[:, 2]) / 0.35
    assert 10 < (features[:, 0] > optimum).sum() < len(GRID) - 10
    h = sqrt(np.finfo(float).eps)
    for p in range(len(TRUTH)):
        shift = np.eye(len(TRUTH))[p] * h
        above, below = (DataConstrained.curve(features - centre, theta + sign * shift)[0] for sign in (1, -1))
        np.testing.assert_allclose(jacobian[..., p], (above - below) / (2 * h), atol=1e-7)


def test_without_repeats_and_excess_it_is_chinchillas_law():
    size, tokens = GRID[:, 0] / 1e4, GRID[:, 1]
    chinchilla = TRUTH["E"] + TRUTH["A"] * size ** -TRUTH["alpha"] + TRUTH["B"] * tokens ** -TRUTH["beta"]
    once = np.column_stack([size, tokens, tokens])
    np.testing.assert_allclose(predicted(once, TRUTH), chinchilla, rtol=1e-12)


def test_unique_tokens_that_were_never_seen_do_not_count():
    seen, unseen = predicted([(1e7, 1e9, 1e9), (1e7, 1e9, 5e9)], TRUTH)
    assert seen == unseen


def test_noise_leaves_the_truth_inside_its_profile_interval():
    noise = np.exp(0.003 * np.random.default_rng(1).normal(size=len(GRID)))
    law = DataConstrained().fit(GRID, loss(GRID, **TRUTH) * noise)
    for name in ("R_D", "R_N", "alpha"):
        assert profile_interval(law, name).covers(TRUTH[name])


def test_one_pool_of_unique_tokens_is_enough():
    inputs = np.array([(n, e * 1e9, 1e9) for n in np.geomspace(1e7, 1e10, 6) for e in (0.2, 1, 4, 16, 64)])
    law = DataConstrained().fit(inputs, loss(inputs, **TRUTH))
    for name, value in TRUTH.items():
        assert law.params_[name] == pytest.approx(value, rel=1e-5)


def test_sizes_below_the_best_leave_r_n_without_effect():
    small = GRID * [1e-4, 1, 1]
    law = DataConstrained().fit(small, loss(small, **TRUTH), fixed={"R_N": 5.0})
    assert law.params_["R_D"] == pytest.approx(TRUTH["R_D"], rel=1e-6)
    assert "R_N" in without_effect(DataConstrained().fit(small, loss(small, **TRUTH)), small)


def test_runs_of_one_epoch_are_refused_unless_the_decay_is_held():
    once = GRID[GRID[:, 1] == GRID[:, 2]]
    losses = loss(once, **TRUTH)
    with pytest.raises(RecordError, match=r"all 15 runs have the same repeats D / U - 1 \(0\)"):
        DataConstrained().fit(once, losses)
    with pytest.raises(RecordError, match="the same repeats"):
        DataConstrained().fit_from(TRUTH, once, losses)
    law = DataConstrained().fit(once, losses, fixed={"R_D": 12.0, "R_N": 4.0})
    assert law.params_["alpha"] == pytest.approx(TRUTH["alpha"], rel=1e-6)
