"""A report of a table that has never seen this project."""

import json

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from analysis.cli import app
from analysis.report.table_findings import TableRequest
from analysis.report.table_report import build_table_report, render_table
from analysis.tables.run_table import read_runs
from wardlaw.errors import RecordError
from wardlaw.seeds import generator

SIZES = np.geomspace(1e6, 1e9, 7)
FAST = {"replicates": 100}


def write_surface(path, *, noise=0.002, **columns):
    """Runs of two groups on a grid of compute and size, with a known law of each."""
    rows = []
    for group, floor in (("plain", 1.7), ("federated", 1.8)):
        for budget in (1e18, 1e19, 1e20):
            for size in np.sqrt(budget / 120) * np.geomspace(0.25, 4, 7):
                tokens = budget / (6 * size)
                scatter = np.exp(noise * generator(0, group, int(size), int(budget / 1e18)).normal())
                loss = (floor + 400 * size**-0.34 + 410 * tokens**-0.28) * scatter
                rows.append({"how": group, "params": size, "flops": budget, "loss": loss, **columns})
    pl.DataFrame(rows).write_csv(path)
    return path


@pytest.fixture(scope="module")
def surface(tmp_path_factory):
    path = write_surface(tmp_path_factory.mktemp("table") / "their runs.csv")
    return build_table_report(read_runs(path), TableRequest(group="how", **FAST))


def test_laws_follow_from_the_columns_and_every_panel_from_what_the_runs_support(surface):
    assert surface.findings.laws == ["chinchilla"]
    assert [panel.key for panel in surface.panels] == [
        "chinchilla-levels",
        "chinchilla-compute",
        "residuals",
        "chinchilla-parameters",
        "isoflop",
        "allocation",
        "chinchilla-exponent-differences",
        "chinchilla-efficiency",
    ]
    for one in surface.findings.fits:
        assert one.fit.intervals["alpha"].covers(0.34)
    levels = surface.panels[0].data["runs"]
    np.testing.assert_allclose(sorted(levels["level"].unique()), [1e18, 1e19, 1e20])


def test_the_page_claims_no_more_than_the_table_does(surface):
    text = render_table(surface)
    assert "as given in their runs.csv" in text
    assert "SYNTHETIC" not in text
    assert "real patients" not in text.lower()
    assert "D was not in the table and is derived" in text
    assert "damped Newton" in text
    assert surface.to_json()["data"]["kind"] == "data"


def test_a_column_can_say_that_patients_are_synthetic(tmp_path):
    path = write_surface(tmp_path / "runs.csv", synthetic=True)
    built = build_table_report(read_runs(path), TableRequest(laws=["power"], group="how", **FAST))
    assert built.label[0] == "synthetic"


def test_numbers_drawn_are_those_of_the_fit(surface):
    curves = next(panel for panel in surface.panels if panel.key == "chinchilla-compute").data["curves"]
    for one in surface.findings.fits:
        curve = curves.filter(pl.col("group") == one.fit.group)
        compute = curve["x"].to_numpy()
        size = np.geomspace(1e3, 1e13, 4001)
        by_hand = [one.fit.law.predict(np.column_stack([size, c / (6 * size)])).min() for c in compute]
        np.testing.assert_allclose(curve["loss"], by_hand, rtol=1e-5)
        assert (curve["low"] <= curve["loss"]).all()
        assert (curve["loss"] <= curve["high"]).all()
    residuals = next(panel for panel in surface.panels if panel.key == "residuals").data["residuals"]
    assert residuals["percent"].abs().to_numpy().max() < 2


def test_a_table_of_sizes_alone_gets_the_power_law_and_its_hold_out(tmp_path):
    path = tmp_path / "runs.parquet"
    losses = 1.4 + 60 * SIZES**-0.31
    pl.DataFrame({"N": SIZES, "L": losses, "seed": range(7)}).write_parquet(path)
    built = build_table_report(read_runs(path), TableRequest(holdout="N > 5e8", **FAST))
    assert built.findings.laws == ["power"]
    assert "Runs held out" in render_table(built)
    assert [panel.key for panel in built.panels] == ["power-curve", "residuals", "power-parameters"]
    assert built.to_json()["fits"][0]["holdout"]["mean_relative_error"] < 1e-4


def test_a_hold_out_that_a_group_does_not_meet_is_said_and_one_that_none_meets_refused(tmp_path):
    path = tmp_path / "runs.csv"
    rows = [
        {"how": how, "N": size, "L": floor + 60 * size**-0.31}
        for how, floor, sizes in (("wide", 1.4, SIZES), ("narrow", 1.5, SIZES[:5]))
        for size in sizes
    ]
    pl.DataFrame(rows).write_csv(path)
    asked = {"group": "how", "laws": ("power",), **FAST}
    built = build_table_report(read_runs(path), TableRequest(holdout="N > 2e8", **asked))
    held = {one.fit.group: one.holdout for one in built.findings.fits}
    assert held["wide"].n == 2
    assert held["narrow"] is None
    said = "narrow: 'N > 2e8' holds out 0 of 5 runs: this fit uses them all, and predicts none."
    assert said in built.to_json()["cautions"]
    assert not any("wide: 'N > 2e8'" in caution for caution in built.to_json()["cautions"])
    with pytest.raises(RecordError, match="wide: 'N > 2e9' holds out 0 of 7 runs; narrow") as refused:
        build_table_report(read_runs(path), TableRequest(holdout="N > 2e9", **asked))
    assert refused.value.where == "--holdout"


def test_a_table_without_sizes_is_refused_in_one_line(tmp_path):
    path = tmp_path / "runs.csv"
    pl.DataFrame({"width": SIZES, "loss": SIZES}).write_csv(path)
    with pytest.raises(RecordError, match="there is no column for N"):
        build_table_report(read_runs(path), TableRequest(**FAST))


def test_numbers_that_name_groups_are_named_by_their_column(tmp_path):
    path = write_surface(tmp_path / "runs.csv")
    rows = pl.read_csv(path).with_columns(how=pl.when(pl.col("how") == "plain").then(0).otherwise(4))
    rows.write_csv(path)
    built = build_table_report(
        read_runs(path), TableRequest(laws=["pure-power"], group="how", reference="4", **FAST)
    )
    assert built.findings.groups == ("how 4", "how 0")
    assert built.findings.comparisons[0].reference == "how 4"


def test_the_command_reports_the_published_table(shared_data, tmp_path):
    path = shared_data / "scaling" / "epoch_chinchilla" / "svg_extracted_data.csv"
    if not path.exists():
        pytest.skip(f"no table at {path}")
    options = ["--columns", "N=Model Size,C=Training FLOP", "--drop-worst-loss", "5", "--bootstrap", "100"]
    result = CliRunner().invoke(app, ["report", str(path), "--out", str(tmp_path), *options])
    assert result.exit_code == 0, result.output
    numbers = json.loads((tmp_path / "report.json").read_text())
    assert numbers["fits"][0]["params"]["alpha"] == pytest.approx(0.3473, abs=0.002)
    assert len(numbers["left_out"]) == 5
    assert {path.suffix for path in (tmp_path / "figures").iterdir()} == {".pdf", ".svg", ".png"}
