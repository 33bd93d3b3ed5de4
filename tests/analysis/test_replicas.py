"""Laws of replicas against the published fits of the DiLoCo study, and on exact surfaces."""

import json

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from analysis.fits.selection import Candidate, select_law
from analysis.fits.table_fit import Request
from analysis.laws.power_law import PowerLaw, PurePowerLaw
from analysis.laws.replicas import ReplicasExponent, ReplicasOffset, ReplicasPower, ReplicasSum
from analysis.solvers.objective import HUBER_LOG, LOG_SQUARES, SQUARES
from analysis.tables.filters import keep_where
from analysis.tables.run_table import read_runs
from wardlaw.cli import wardlaw
from wardlaw.errors import RecordError

FORMS = (ReplicasPower, ReplicasOffset, ReplicasExponent, ReplicasSum)
GRID = np.array([(n, m) for n in np.geomspace(1e7, 3e9, 6) for m in (1, 2, 4, 8)], dtype=float)
SURFACES = [
    (
        ReplicasPower,
        {"A": 19.2, "alpha": 0.0985, "beta": 0.0116},
        lambda n, m, A, alpha, beta: A * n**-alpha * m**beta,
    ),
    (
        ReplicasOffset,
        {"E": 1.1, "A": 39.0, "alpha": 0.16, "beta": 0.02},
        lambda n, m, E, A, alpha, beta: E + A * n**-alpha * m**beta,
    ),
    (
        ReplicasExponent,
        {"E": 1.2, "A": 45.0, "alpha": 0.17, "kappa": 4e-4},
        lambda n, m, E, A, alpha, kappa: E + A * n ** -(alpha - kappa * m),
    ),
    (
        ReplicasSum,
        {"E": 1.0, "A": 39.0, "B": 0.03, "alpha": 0.16, "beta": 0.7},
        lambda n, m, E, A, B, alpha, beta: E + A * n**-alpha + B * m**beta,
    ),
]


@pytest.fixture(scope="module")
def diloco_file(shared_data):
    path = shared_data / "scaling" / "diloco" / "table4_table5.csv"
    if not path.is_file():
        pytest.skip(f"no DiLoCo table at {path}")
    return path


@pytest.fixture(scope="module")
def diloco(diloco_file):
    table = pl.read_csv(diloco_file)
    expected = json.loads((diloco_file.parents[1] / "EXPECTED.json").read_text())["diloco"]
    return table.filter(split="fit"), table.filter(split="holdout"), expected


def arms(expected):
    """The table's M of each arm: 0 is data parallelism."""
    return {name: int(name[1:]) if name != "DP" else 0 for name in expected}


def points(rows):
    return rows.select("N", "M").to_numpy().astype(float), rows["loss"].to_numpy()


def test_pure_power_laws_of_the_published_table(diloco):
    fitted, _, expected = diloco
    for name, replicas in arms(expected["table7_published"]).items():
        rows = fitted.filter(M=replicas)
        law = PurePowerLaw(LOG_SQUARES).fit(rows["N"], rows["loss"])
        found = (law.params_["A"], -law.params_["alpha"])
        assert found == pytest.approx(expected["table7_refit_nominal_N"][name], rel=1e-3)
        assert found == pytest.approx(expected["table7_published"][name], rel=1e-2)


def test_joint_power_law_of_the_published_table(diloco):
    fitted, _, expected = diloco
    law = ReplicasPower(LOG_SQUARES).fit(*points(fitted.filter(pl.col("M") >= 1)))
    found = (law.params_["A"], -law.params_["alpha"], law.params_["beta"])
    assert found == pytest.approx(expected["joint_refit"], rel=1e-3)
    assert found == pytest.approx(expected["joint_published"], rel=1e-2)


def test_ten_billion_parameters_are_predicted_only_with_an_irreducible_loss(diloco):
    fitted, held, expected = diloco
    for name, replicas in arms(expected["E+A*N^-a_pred_10B"]).items():
        rows = fitted.filter(M=replicas)
        measured = held.filter(N=1e10, M=replicas)["loss"].item()
        straight = PurePowerLaw(LOG_SQUARES).fit(rows["N"], rows["loss"]).predict([1e10]).item()
        assert 100 * (straight / measured - 1) == pytest.approx(
            expected["powerlaw_error_10B_pct"][name], abs=0.1
        )
        assert -0.041 < straight / measured - 1 < -0.032
        curved = PowerLaw(SQUARES).fit(rows["N"], rows["loss"]).predict([1e10]).item()
        assert curved == pytest.approx(expected["E+A*N^-a_pred_10B"][name], abs=1e-4)
        assert curved == pytest.approx(measured, rel=0.015)
        robust = PowerLaw().fit(rows["N"], rows["loss"]).predict([1e10]).item()
        assert robust == pytest.approx(measured, rel=0.015)


def test_forms_compared_on_the_held_out_size(diloco_file):
    """The published residuals of the four forms are .0044, .0035, .0025 and .0043.

    At the minimum of the objective without the held-out size they are larger, and another form wins:
    the published fits were picked, among 256 starts each, by their residual on that size.
    """
    runs = keep_where(read_runs(diloco_file), "M >= 1 and split = 'fit'")
    candidates = [Candidate(law.name, Request(law.name)) for law in FORMS]
    selection = select_law(runs, candidates, "N >= 2.4e9")
    residuals = [standing.held_out.mean_residual for standing in selection.standings]
    assert residuals == pytest.approx([0.0112, 0.0046, 0.0073, 0.0054], abs=5e-5)
    assert selection.chosen.name == "replicas-offset"
    assert all(standing.law.convergence_.reached_best == 1.0 for standing in selection.standings)


def test_the_real_test_runs_prefer_the_published_form(diloco_file):
    """Of 4 and 10 billion parameters, which took no part in any choice."""
    runs = keep_where(read_runs(diloco_file), "M >= 1")
    candidates = [Candidate(law.name, Request(law.name)) for law in FORMS]
    selection = select_law(runs, candidates, "split = 'holdout'")
    residuals = [standing.held_out.mean_residual for standing in selection.standings]
    assert residuals == pytest.approx([0.0247, 0.0079, 0.0058, 0.0076], abs=1e-4)
    assert selection.chosen.name == "replicas-exponent"


def test_published_residuals_are_near_those_of_fits_that_saw_the_size(diloco):
    fitted, _, _ = diloco
    rows = fitted.filter(pl.col("M") >= 1)
    inputs, loss = points(rows)
    largest = inputs[:, 0] == 2.4e9
    for law, published in zip(FORMS, (0.0044, 0.0035, 0.0025, 0.0043), strict=True):
        predicted = law(HUBER_LOG).fit(inputs, loss).predict(inputs[largest])
        assert np.abs(np.log(predicted / loss[largest])).mean() == pytest.approx(published, abs=1e-3)


@pytest.mark.parametrize(("law", "truth", "surface"), SURFACES, ids=lambda value: getattr(value, "name", ""))
def test_noise_free_surfaces_are_recovered(law, truth, surface):
    loss = surface(GRID[:, 0], GRID[:, 1], **truth)
    for fitted in (law().fit(GRID, loss), law().fit_projected(GRID, loss)):
        assert fitted.params_ == pytest.approx(truth, rel=1e-6)
        np.testing.assert_allclose(fitted.predict(GRID), loss, rtol=1e-10)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([(n, 4) for n in np.geomspace(1e7, 1e9, 8)], "same M"),
        ([(1e8, m) for m in (1, 2, 4, 8, 16)], "same N"),
        ([(1e7 * m, m) for m in (1, 2, 4, 8, 16)], "grow together"),
        ([(1e7, 0), (1e8, 1), (1e8, 2), (1e9, 4), (1e9, 8)], "values of M are not positive"),
    ],
)
def test_designs_that_cannot_tell_replicas_from_size_are_refused(inputs, message):
    with pytest.raises(RecordError, match=message):
        ReplicasOffset().fit(inputs, np.linspace(3, 2, len(inputs)))


def test_command_line_fits_the_published_table(diloco_file, tmp_path):
    written = tmp_path / "fit.json"
    arguments = ["analysis", "fit", str(diloco_file), "--law", "replicas-power", "--objective", "squares-log"]
    arguments += ["--where", "M >= 1 and split = 'fit'", "--bootstrap", "100", "--json", str(written)]
    result = CliRunner().invoke(wardlaw, arguments)
    assert result.exit_code == 0, result.output
    found = json.loads(written.read_text())
    assert found["params"]["A"] == pytest.approx(19.226, rel=1e-2)
    assert found["n"] == 28
    assert "28 at 28 distinct points" in result.output
