"""Choosing among laws on runs of a scale held out."""

import json

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from analysis.fits.predictions import Errors
from analysis.fits.selection import Candidate, Selection, Standing, select_law
from analysis.fits.table_fit import Request, fit_table
from analysis.laws.power_law import PowerLaw, PurePowerLaw
from analysis.tables.run_table import read_runs
from wardlaw.cli import wardlaw
from wardlaw.errors import RecordError

TRUTH = {"E": 1.4, "A": 60.0, "alpha": 0.31}
HOLDOUT = "N >= 5e8"


@pytest.fixture(scope="module")
def runs_file(tmp_path_factory):
    """Runs of L = E + A N^-alpha without noise, with a column that the law does not need."""
    size = np.geomspace(1e5, 1e9, 9)
    loss = TRUTH["E"] + TRUTH["A"] * size ** -TRUTH["alpha"]
    path = tmp_path_factory.mktemp("runs") / "runs.csv"
    pl.DataFrame({"N": size, "M": [1, 2, 4] * 3, "L": loss}).write_csv(path)
    return path


def candidates(**requests):
    return [Candidate(name.replace("_", "-"), request) for name, request in requests.items()]


def test_the_true_law_is_chosen_and_its_errors_are_those_of_its_predictions(runs_file):
    both = candidates(straight=Request("pure-power"), curved=Request("power"))
    selection = select_law(read_runs(runs_file), both, HOLDOUT)
    straight, curved = selection.standings
    assert selection.chosen is curved
    assert curved.law.params_ == pytest.approx(TRUTH, rel=1e-6)
    assert curved.held_out.mean_residual < 1e-9
    rows = pl.read_csv(runs_file)
    held, kept = rows.filter(pl.col("N") >= 5e8), rows.filter(pl.col("N") < 5e8)
    assert (selection.held, straight.law.n_) == (len(held), len(kept))
    off = np.log(held["L"].to_numpy()) - np.log(straight.law.predict(held["N"]))
    assert straight.held_out.mean_residual == pytest.approx(np.abs(off).mean(), rel=1e-12)
    assert straight.held_out.largest_relative_error == pytest.approx(np.abs(np.expm1(-off)).max(), rel=1e-12)


def test_nested_cases_of_one_law_are_compared_and_the_smaller_wins_a_tie(runs_file):
    request = Request("power", fixed={"E": TRUTH["E"]})
    cases = candidates(free=Request("power"), known=request, wrong=Request("power", fixed={"E": 0.7}))
    selection = select_law(read_runs(runs_file), cases, HOLDOUT)
    free, known, wrong = selection.standings
    assert [standing.free for standing in selection.standings] == [3, 2, 2]
    assert wrong.law.params_["E"] == pytest.approx(0.7)
    assert known.held_out.mean_residual < 1e-9 < wrong.held_out.mean_residual
    assert free.rank == (free.held_out.mean_residual, 3)
    assert selection.chosen in (free, known)


def test_the_result_says_that_the_held_out_runs_are_no_test(runs_file):
    both = candidates(straight=Request("pure-power"), replicas=Request("replicas-offset"))
    selection = select_law(read_runs(runs_file), both, HOLDOUT)
    found = json.loads(json.dumps(selection.to_json()))
    assert found["role_of_holdout"] == "validation"
    assert "not a test" in " ".join(found["cautions"])
    assert found["chosen"] == "replicas"
    assert [one["free_parameters"] for one in found["candidates"]] == [2, 4]
    text = " ".join(selection.summary().split())
    assert "validation set, not a test" in text
    assert "of logs on the held-out runs" in text
    assert "chosen: replicas" in text


def test_objectives_that_cannot_be_compared_are_told(runs_file):
    both = candidates(robust=Request("power"), squares=Request("power", objective="squares"))
    selection = select_law(read_runs(runs_file), both, HOLDOUT)
    assert any("compare their errors only" in caution for caution in selection.cautions)


def test_all_candidates_see_the_same_runs(tmp_path):
    """A run that one law cannot use is left out for all."""
    size = np.geomspace(1e5, 1e9, 12)
    sites = [1, 2, 4, 8, 1, 2, 4, 8, None, 2, 4, 8]
    pl.DataFrame({"N": size, "M": sites, "L": 2 + size**-0.2}).write_csv(tmp_path / "runs.csv")
    both = candidates(size=Request("power"), replicas=Request("replicas-power"))
    selection = select_law(read_runs(tmp_path / "runs.csv"), both, "N > 2e8")
    assert [run.reason for run in selection.table.dropped] == ["M is missing"]
    assert {standing.law.n_ for standing in selection.standings} == {11 - selection.held}
    assert any("left out" in caution for caution in selection.cautions)


@pytest.mark.parametrize(
    ("cases", "message"),
    [
        (candidates(power=Request("power")), "1 candidate leaves nothing to choose"),
        (candidates(power=Request("power")) * 2, "two candidates are called power"),
        (
            candidates(loss=Request("power"), error=Request("error-exponential")),
            "different targets",
        ),
        (candidates(power=Request("power"), absent=Request("nowhere")), "no law 'nowhere'"),
        (
            candidates(power=Request("power"), typo=Request("power", fixed={"Z": 1.0})),
            "typo, --fixed: the power law has no parameter Z",
        ),
    ],
)
def test_comparisons_that_say_nothing_are_refused(runs_file, cases, message):
    with pytest.raises(RecordError, match=message):
        select_law(read_runs(runs_file), cases, HOLDOUT)


def test_command_line(runs_file, tmp_path):
    written = tmp_path / "selection.json"
    laws = ["--law", "pure-power", "--law", "power:E=1.0", "--law", "power"]
    arguments = ["analysis", "select", str(runs_file), *laws, "--holdout", HOLDOUT, "--json", str(written)]
    result = CliRunner().invoke(wardlaw, arguments)
    assert result.exit_code == 0, result.output
    found = json.loads(written.read_text())
    assert found["chosen"] == "power"
    assert [one["name"] for one in found["candidates"]] == ["pure-power", "power:E=1.0", "power"]
    assert found["candidates"][1]["fixed"] == {"E": 1.0}


def standing(name, law, off):
    errors = Errors(off.mean(), off.mean(), off.max())
    return Standing(name, law, len(law.parameters), errors, off, ())


def test_students_quantile_says_which_residuals_are_alike_and_few_points_are_told(runs_file):
    """A difference of three standard errors: told apart by nine points, not by three (4.3 needed)."""
    table = read_runs(runs_file)
    simplest = {}
    for points in (9, 3, 1):
        noise = np.resize([1.0, -1.0, 0.0], points)
        more = 0.1 if points == 1 else 3 * noise.std() / np.sqrt(points - 1)
        straight = standing("straight", PurePowerLaw(), 5.0 + more + noise - noise.mean())
        found = Selection("", (straight, standing("curved", PowerLaw(), np.full(points, 5.0))), points, table)
        simplest[points] = found.simplest.name
        assert any("held-out point" in caution for caution in found.cautions) == (points < 4)
    assert simplest == {9: "curved", 3: "straight", 1: "curved"}


def test_seeds_of_a_held_out_point_count_as_one(tmp_path):
    size, seed = np.repeat(np.geomspace(1e5, 1e9, 9), 2), np.tile([0, 1], 9)
    loss = (1.4 + 60 * size**-0.31) * np.exp(0.01 * (2 * seed - 1))
    pl.DataFrame({"N": size, "seed": seed, "L": loss}).write_csv(tmp_path / "runs.csv")
    both = candidates(straight=Request("pure-power"), curved=Request("power", objective="squares-log"))
    selection = select_law(read_runs(tmp_path / "runs.csv"), both, HOLDOUT)
    assert selection.held == 2
    assert selection.standings[1].off == pytest.approx([0.01], abs=1e-4)
    assert any("told apart by 1 held-out point only" in caution for caution in selection.cautions)


def test_the_simplest_nested_case_is_shown(runs_file):
    cases = candidates(free=Request("power"), known=Request("power", fixed={"E": TRUTH["E"]}))
    shown = " ".join(select_law(read_runs(runs_file), cases, HOLDOUT).summary().split())
    assert "simplest that these runs do not tell from it: " in shown
    laws = candidates(straight=Request("pure-power"), curved=Request("power"))
    assert "simplest" not in select_law(read_runs(runs_file), laws, HOLDOUT).summary()


def test_a_fitter_that_there_is_not_is_refused(runs_file):
    with pytest.raises(RecordError, match="there is no fitter 'foo'") as refusal:
        fit_table(read_runs(runs_file), Request("power", fitter="foo"))
    assert refusal.value.remedy == "Use one of newton, projection"
