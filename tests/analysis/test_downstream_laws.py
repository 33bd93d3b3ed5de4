"""One loss from another, and errors and metrics from a loss."""

import json

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from analysis.fits.fit import fit_sample
from analysis.fits.predictions import judge_holdout
from analysis.fits.table_fit import Request, fit_table
from analysis.laws.chinchilla import Chinchilla
from analysis.laws.error_from_loss import ErrorExponential, MetricLogistic
from analysis.laws.loss_to_loss import LossToLoss
from analysis.solvers.objective import HUBER_LOG, SQUARES
from analysis.tables.run_table import read_runs
from analysis.tables.sample import take_sample
from wardlaw.cli import wardlaw
from wardlaw.errors import RecordError

LOSS = np.linspace(2.2, 5.0, 12)


def to_loss(x, K, E_x, kappa, E_y):
    return K * (x - E_x) ** kappa + E_y


def to_error(x, eps, k, gamma):
    return eps - k * np.exp(-gamma * x)


def to_metric(x, a, k, L0, b):
    return a / (1 + np.exp(-k * (x - L0))) + b


SURFACES = [
    (LossToLoss, to_loss, {"K": 0.9, "E_x": 1.7, "kappa": 1.1, "E_y": 1.5}),
    (LossToLoss, to_loss, {"K": 1.3, "E_x": 0.4, "kappa": 0.8, "E_y": 0.3}),
    (LossToLoss, to_loss, {"K": 0.5, "E_x": 2.1, "kappa": 0.6, "E_y": 2.0}),
    # Gadre et al. 2024, 17 tasks, models of the first corpus.
    (ErrorExponential, to_error, {"eps": 0.85699, "k": 2.2065, "gamma": 0.71459}),
    (ErrorExponential, to_error, {"eps": 0.9, "k": 400.0, "gamma": 3.0}),
    (MetricLogistic, to_metric, {"a": 0.7, "k": -2.5, "L0": 3.1, "b": 0.25}),
    (MetricLogistic, to_metric, {"a": 0.4, "k": 1.4, "L0": 4.0, "b": -0.1}),
    (MetricLogistic, to_metric, {"a": 0.75, "k": -4.0, "L0": 2.0, "b": 0.25}),
]
LAWS = (LossToLoss, ErrorExponential, MetricLogistic)


@pytest.mark.parametrize(("law", "curve", "truth"), SURFACES)
def test_noise_free_curves_are_recovered(law, curve, truth):
    target = curve(LOSS, **truth)
    fitted = law().fit(LOSS, target)
    assert fitted.params_ == pytest.approx(truth, rel=1e-6)
    np.testing.assert_allclose(fitted.predict(LOSS), target, rtol=1e-9)
    assert fitted.convergence_.converged


@pytest.mark.parametrize(("law", "curve", "truth"), [SURFACES[0], SURFACES[3], SURFACES[5]])
def test_every_parameter_can_be_given(law, curve, truth):
    target = curve(LOSS, **truth)
    for name, value in truth.items():
        fitted = law().fit(LOSS, target, fixed={name: value})
        assert fitted.params_ == pytest.approx(truth, rel=1e-6)


def test_floors_of_two_chinchilla_fits_give_the_loss_to_loss_law():
    """Both losses in N and D of one design: the exponent is then the ratio of the two."""
    grid = np.array([(n, d) for n in np.geomspace(1e7, 1e10, 5) for d in np.geomspace(1e9, 1e12, 5)])
    excess = 406.4 * grid[:, 0] ** -0.34 + 410.7 * grid[:, 1] ** -0.34
    first, second = 1.69 + excess, 2.1 + 0.8 * excess
    floors = [Chinchilla().fit(grid, loss).params_["E"] for loss in (first, second)]
    law = LossToLoss().fit(first, second, fixed=dict(zip(("E_x", "E_y"), floors, strict=True)))
    assert law.params_["K"] == pytest.approx(0.8, rel=1e-5)
    assert law.params_["kappa"] == pytest.approx(1.0, abs=1e-5)


def test_below_its_floor_the_law_predicts_nothing():
    truth = SURFACES[0][2]
    law = LossToLoss().fit(LOSS, to_loss(LOSS, **truth))
    assert np.isnan(law.predict([1.0, 1.69, 1.71])).tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("law", "target", "fixed", "message"),
    [
        (LossToLoss(), LOSS, {"E_x": 2.2}, "cannot have E_x = 2.2 on these runs"),
        (LossToLoss(), LOSS, {"E_x": 3.0}, "E_x between 0 and the smallest L_x"),
        (LossToLoss(), LOSS - 3, {}, "values of L_y are not positive numbers"),
        (ErrorExponential(), np.where(LOSS > 4, np.nan, 0.5), {}, "4 of 12 values of err are not numbers"),
        (ErrorExponential(HUBER_LOG), np.linspace(0, 0.9, 12), {}, "1 of 12 values of err are not positive"),
        (MetricLogistic(), LOSS, {"a": -1.0}, "cannot have a = -1"),
    ],
)
def test_what_a_law_cannot_take_is_refused(law, target, fixed, message):
    with pytest.raises(RecordError, match=message), np.errstate(invalid="ignore"):
        law.fit(LOSS, target, fixed=fixed)


def test_squares_are_the_objective_of_errors_unless_another_is_asked_for():
    assert ErrorExponential().objective is SQUARES
    assert MetricLogistic().objective is SQUARES
    assert LossToLoss().objective is HUBER_LOG
    assert ErrorExponential(HUBER_LOG).objective is HUBER_LOG


def test_an_error_of_zero_and_a_metric_below_it_are_values_like_others():
    truth = {"eps": 0.9, "k": 3.3, "gamma": 0.7}
    zero = np.log(truth["k"] / truth["eps"]) / truth["gamma"]
    losses = np.append(LOSS, zero)
    law = ErrorExponential().fit(losses, to_error(losses, **truth))
    assert law.params_ == pytest.approx(truth, rel=1e-6)
    fall = {"a": 1.2, "k": -2.0, "L0": 3.0, "b": -0.4}
    assert (to_metric(LOSS, **fall) < 0).any()
    assert MetricLogistic().fit(LOSS, to_metric(LOSS, **fall)).params_ == pytest.approx(fall, rel=1e-6)


def errors_of_seeds(random, *, noise=0.01, seeds=3):
    losses = np.repeat(np.linspace(2.6, 4.6, 8), seeds)
    error = to_error(losses, 0.9, 2.2, 0.7) + noise * random.normal(size=len(losses))
    return pl.DataFrame(
        {"run": range(len(losses)), "L": losses, "err": error, "seed": list(range(seeds)) * 8}
    )


def test_noise_and_intervals_of_a_raw_law_are_on_its_scale():
    rows = errors_of_seeds(np.random.default_rng(0), seeds=40)
    sample = take_sample(rows, ("L",), "err")
    fit = fit_sample(ErrorExponential(), sample, replicates=200, seed=0)
    assert fit.noise.deviation == pytest.approx(0.01, rel=0.1)
    off = rows["err"].to_numpy() - fit.law.predict(rows["L"])
    assert fit.residuals == pytest.approx(off * np.sqrt(320 / 317))
    predicted, low, high = fit.band(np.array([3.0]))
    assert high - low == pytest.approx(2 * 1.96 * 0.01 / np.sqrt(320 / 3), rel=0.5)
    held = judge_holdout(fit, "", np.array([[2.0], [5.0]]), np.array([0.0, 0.8]), None)
    assert held.mean_residual == pytest.approx(np.abs(fit.law.predict([2.0, 5.0]) - [0.0, 0.8]).mean())
    assert held.mean_relative_error == np.inf
    assert low < predicted < high


def test_lack_of_fit_of_a_raw_law_is_judged_on_its_scale():
    rows = errors_of_seeds(np.random.default_rng(1))
    bent = rows.with_columns(pl.col("err") + 0.05 * (pl.col("L") == rows["L"][9]))
    good, bad = (
        fit_sample(ErrorExponential(), take_sample(table, ("L",), "err"), replicates=100, seed=0)
        for table in (rows, bent)
    )
    assert good.misfit > 0.05
    assert bad.misfit < 0.05


def test_a_table_of_errors_keeps_its_zeros(tmp_path):
    losses = np.linspace(1.2, 4.0, 10)
    error = np.maximum(to_error(losses, 0.9, 2.2, 0.7), 0.0)
    pl.DataFrame({"loss": losses, "err": error}).write_csv(tmp_path / "runs.csv")
    fit = fit_table(read_runs(tmp_path / "runs.csv"), Request("error-exponential", replicates=100))
    assert error[0] == 0
    assert fit.fit.sample.rows == 10
    assert not fit.table.dropped


def test_command_line_fits_errors_of_another_column(tmp_path):
    rows = errors_of_seeds(np.random.default_rng(2)).rename({"err": "wrong"})
    rows.write_csv(tmp_path / "runs.csv")
    written = tmp_path / "fit.json"
    arguments = ["analysis", "fit", str(tmp_path / "runs.csv"), "--law", "error-exponential"]
    arguments += ["--columns", "err=wrong", "--bootstrap", "100", "--json", str(written)]
    result = CliRunner().invoke(wardlaw, [*arguments, "--holdout", "L > 4.4", "--predict", "L=5"])
    assert result.exit_code == 0, result.output
    found = json.loads(written.read_text())
    assert found["objective_form"].startswith("half the sum over runs of (predicted - measured)^2")
    assert found["predictions"][0]["run_interval"]["low"] < found["predictions"][0]["interval"]["low"]
    assert f"{found['seed_noise']['deviation']:.2g} between seeds" in " ".join(result.output.split())
