"""The page: its numbers are the computed ones, and it needs nothing but itself."""

import base64
import hashlib
import html.parser
import io
import json
import re

import numpy as np
import plotly.graph_objects
import polars as pl
import pytest
from typer.testing import CliRunner

from analysis.cli import app
from analysis.laws.registry import LAWS, find_law
from analysis.report.findings import analyse
from analysis.report.page import mathematics
from analysis.report.report import build_report, digest, render, write_report
from analysis.tables.records import load_runs
from analysis.wording import GREEK
from wardlaw.errors import RecordError

REPLICATES = 300


class Page(html.parser.HTMLParser):
    """Every attribute, id, script and download of a page."""

    def __init__(self, text):
        super().__init__()
        self.attributes, self.ids, self.files, self.tags = [], [], {}, []
        self.policy, self.scripts, self.charts, self.text = "", [], [], ""
        self.into = None
        self.feed(text)

    @property
    def downloads(self):
        """Tables by the name that they are saved under."""
        return {
            name: pl.read_csv(io.BytesIO(content), infer_schema_length=None)
            for name, content in self.files.items()
            if name.endswith(".csv")
        }

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.attributes += [(tag, *item) for item in attrs]
        self.ids += [found["id"]] if "id" in found else []
        if "download" in found:
            self.files[found["download"]] = base64.b64decode(found["href"].partition(";base64,")[2])
        if found.get("http-equiv") == "Content-Security-Policy":
            self.policy = found["content"]
        if tag == "script":
            self.into = self.charts if found.get("type") == "application/json" else self.scripts

    def handle_endtag(self, tag):
        if tag == "script":
            self.into = None

    def handle_data(self, data):
        if self.into is None:
            self.text += data
        else:
            self.into.append(data)


FLOOR = {"per_event": 5.4, "per_event_error": 0.02, "per_token": 1.35, "per_token_error": 0.004}


@pytest.fixture(scope="module")
def built(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    (study / "oracle.json").write_text(json.dumps({"floors": {"pooled": {"site_unknown": FLOOR}}}))
    report = build_report(study, title="A <made-up> study", replicates=REPLICATES)
    page = write_report(report, folder)
    return report, page.read_text(), json.loads((folder / "report.json").read_text())


def test_nothing_is_loaded_from_anywhere(built):
    _, text, _ = built
    page = Page(text)
    for tag, name, value in page.attributes:
        if name.startswith("xmlns"):
            continue
        assert not re.search(r"https?://", value or ""), (tag, name, value)
        if name in ("src", "href", "xlink:href"):
            assert value.startswith(("data:", "#")), (tag, name, value)
    # The scripts name addresses in their text; the policy lets them ask for none.
    assert "http://" not in page.text
    assert "https://" not in page.text
    assert "@import" not in page.text
    assert not {"iframe", "object", "embed"} & set(page.tags)
    assert not any(tag == "script" and name == "src" for tag, name, _ in page.attributes)
    assert len(page.ids) == len(set(page.ids))


def test_only_the_scripts_of_the_page_may_run(built):
    _, text, _ = built
    page = Page(text)
    policy = dict(part.strip().partition(" ")[::2] for part in page.policy.split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["img-src"] == "data:"
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in page.scripts]
    assert policy["script-src"] == " ".join(f"'sha256-{one}'" for one in digests)
    assert text.count("Plotly, Inc.") == 1


def test_every_figure_is_there_on_paper_and_for_the_screen(built, tmp_path):
    report, text, _ = built
    page = Page(text)
    charts = [panel for panel in report.panels if panel.chart]
    assert len(page.charts) == len(charts) == 4
    for panel, drawn in zip(charts, page.charts, strict=True):
        figure = json.loads(drawn)
        plotly.graph_objects.Figure({name: figure[name] for name in ("data", "layout")})
        assert page.files[f"{panel.key}.svg"].decode().startswith("<?xml")
        assert f'aria-label="{panel.chart.label}"' in text
    write_report(report, tmp_path)
    beside = {path.name for path in (tmp_path / "figures").iterdir()}
    assert beside == {f"{panel.key}.{kind}" for panel in charts for kind in ("pdf", "svg", "png")}


def test_numbers_of_the_figures_are_the_computed_ones(built, study):
    report, text, numbers = built
    findings = analyse(load_runs(study), replicates=REPLICATES)
    page = Page(text)
    curves = page.downloads["loss-by-size-curves.csv"]
    assert numbers["figures"].keys() == {"loss-by-size", "gap", "sites", "training"}
    for arm, fit in findings.curves.items():
        drawn = curves.filter(pl.col("arm") == arm)
        loss, low, high = fit.band(drawn["parameters"].to_numpy())
        np.testing.assert_allclose(drawn["loss"], loss)
        np.testing.assert_allclose(drawn["low"], low)
        np.testing.assert_allclose(drawn["high"], high)
        recorded = next(
            entry
            for entry in numbers["fits"]
            if (entry["group"], entry["law"], entry["inputs"]["N"]) == (arm, "power", "parameters")
        )
        assert recorded["params"] == pytest.approx(fit.law.params_)
        assert recorded["intervals"]["alpha"] == pytest.approx(
            {"low": fit.intervals["alpha"].low, "high": fit.intervals["alpha"].high}
        )
    gaps = page.downloads["gap-gaps.csv"]
    runs = report.runs.table
    for row in gaps.iter_rows(named=True):
        losses = [
            runs.filter((pl.col("arm") == arm) & (pl.col("parameters") == row["parameters"]))[
                "loss_per_token"
            ]
            for arm in (row["arm"], "Centralised")
        ]
        ours, theirs = (np.exp(np.log(loss.to_numpy()).mean()) for loss in losses)
        assert row["percent"] == pytest.approx(100 * (ours / theirs - 1))
        assert row["percent_low"] < row["percent"] < row["percent_high"]
    assert len(page.downloads["runs.csv"]) == 40


def test_laws_of_the_study_are_found(built, laws):
    report, _, _ = built
    for arm, (floor, _, alpha) in laws.items():
        intervals = report.findings.curves[arm].intervals
        assert intervals["alpha"].estimate == pytest.approx(alpha, abs=0.03)
        assert intervals["E"].estimate == pytest.approx(floor, abs=0.06)
    closed = report.findings.closed["FedAvg"]
    size = 1_000_000
    losses = {arm: floor + a * size**-alpha for arm, (floor, a, alpha) in laws.items()}
    truth = 100 * (losses["Local"] - losses["FedAvg"]) / (losses["Local"] - losses["Centralised"])
    assert closed.estimate == pytest.approx(truth, abs=3)


def test_the_page_says_what_it_is(built):
    report, text, numbers = built
    assert "A &lt;made-up&gt; study" in text
    assert "SYNTHETIC" in text
    assert numbers["data"]["kind"] == "synthetic"
    assert "irreducible loss of the generating process" in text
    assert numbers["headline"][0].startswith("At 1 M parameters, FedAvg has a held-out loss")
    assert any("2 seeds a size is few" in sentence for sentence in numbers["cautions"])
    assert any("fixed token budget" in sentence for sentence in numbers["cautions"])
    assert "same D (409600)" in text
    assert digest(report.runs) in text
    assert "flwr" in text


def test_sites_figure_holds_per_site_losses_and_the_local_model_at_home(built):
    report, _, _ = built
    sites = next(panel for panel in report.panels if panel.key == "sites").data["sites"]
    assert sites["arm"].unique(maintain_order=True).to_list() == [
        "Centralised",
        "Local",
        "FedAvg",
        "FedProx",
        "Local, own site's model",
    ]
    central = sites.filter(pl.col("arm") == "Centralised").sort("loss")
    assert central["site"].to_list() == ["north", "east", "south", "west"]
    at_largest = report.runs.table.filter((pl.col("arm") == "Centralised") & (pl.col("size") == "1m"))
    assert central["loss"].mean() == pytest.approx(at_largest["loss_per_token"].mean())
    by_arm = sites.group_by("arm").agg(pl.col("loss").mean())
    mean = dict(by_arm.iter_rows())
    assert mean["Local, own site's model"] < mean["Local"]


def test_the_same_records_give_the_same_page(make_study, tmp_path):
    runs = make_study(tmp_path / "runs", arms=("Centralised", "FedAvg"), sizes=("xs", "40k", "1m"))
    pages = [render(build_report(runs, replicates=100)) for _ in range(2)]
    assert pages[0] == pages[1]


def test_a_sweep_is_drawn_and_its_best_values_are_named(make_run, tmp_path):
    for size, best in (("xs", 0.01), ("40k", 0.02)):
        for rate in (0.005, 0.01, 0.02):
            make_run(tmp_path / "runs", loss=2.0 + abs(rate - best), size=size, learning_rate=rate)
    report = build_report(tmp_path / "runs", replicates=100)
    assert report.panels[0].key == "sweep-learning-rate"
    sentence = report.to_json()["headline"][0]
    assert "FedAvg 0.01 at 10 K parameters, 0.02* at 40 K parameters; * is the last value tried" in sentence
    assert report.title == tmp_path.name


def test_one_size_only_still_makes_a_page_that_fits_nothing(make_study, tmp_path):
    runs = make_study(tmp_path / "runs", sizes=("xs",))
    page = render(build_report(runs, replicates=100))
    assert "all 2 runs have the same N (10000): its effect cannot be fitted" in page
    assert "No curve could be fitted" in page
    with pytest.raises(RecordError, match="same N"):
        CliRunner().invoke(app, ["fit", str(runs), "--law", "power"], catch_exceptions=False)


def test_one_seed_makes_a_page_with_profile_intervals_of_parameters_only(make_study, tmp_path):
    runs = make_study(tmp_path / "runs", seeds=(0,))
    numbers = build_report(runs, replicates=100).to_json()
    assert "profile likelihood" in numbers["interval_method"]
    assert any("one seed" in sentence for sentence in numbers["cautions"])
    assert all(fit["replicates"] == 0 for fit in numbers["fits"])
    assert all(gap["percent_low"] is None for gap in numbers["figures"]["gap"]["gaps"])


def test_sizes_and_budgets_together_fit_the_joint_law(make_run, tmp_path):
    truth = {"E": 1.2, "A": 30.0, "B": 60.0, "alpha": 0.35, "beta": 0.4}
    parameters = {"xs": 10_000, "40k": 40_000, "150k": 150_000, "1m": 1_000_000}
    for size, n in parameters.items():
        for tokens in (102_400, 204_800, 409_600):
            loss = truth["E"] + truth["A"] * n ** -truth["alpha"] + truth["B"] * tokens ** -truth["beta"]
            make_run(tmp_path / "runs", loss=loss, size=size, tokens=tokens, topology="centralised")
    report = build_report(tmp_path / "runs", replicates=100)
    joint = next(fit for fit in report.findings.fits if fit.law.name == "chinchilla")
    for name, value in truth.items():
        assert joint.law.params_[name] == pytest.approx(value, rel=1e-4)
    assert "loss-by-tokens" in [panel.key for panel in report.panels]


def test_commands_print_and_write_what_they_found(study, tmp_path):
    runner = CliRunner()
    target = tmp_path / "fits.json"
    fitted = runner.invoke(
        app, ["fit", str(study), "--law", "power", "--bootstrap", "200", "--json", str(target)]
    )
    assert fitted.exit_code == 0, fitted.output
    fits = json.loads(target.read_text())["groups"]
    assert [entry["group"] for entry in fits] == ["Centralised", "Local", "FedAvg", "FedProx"]
    assert {
        "law",
        "params",
        "objective",
        "intervals",
        "standard_errors",
        "n",
        "dropped",
        "convergence",
    } <= set(fits[0])
    reported = runner.invoke(
        app, ["report", str(study), "--out", str(tmp_path / "out"), "--bootstrap", "200"]
    )
    assert reported.exit_code == 0, reported.output
    assert "SYNTHETIC" in reported.output
    assert "report.html" in reported.output
    with pytest.raises(RecordError, match="no column 'colour'"):
        runner.invoke(app, ["fit", str(study), "--law", "power", "--group", "colour"], catch_exceptions=False)


def test_formulas_of_all_laws_are_set_without_carets_or_spelt_letters():
    shown = [str(mathematics(find_law(name).formula)) for name in LAWS]
    assert not [
        formula for formula in shown if "^" in formula or re.search(r"alpha|beta|eta|mu|nu|eps", formula)
    ]
    assert "N<sup>\N{MINUS SIGN}({alpha} \N{MINUS SIGN} {kappa} M)</sup>".format(**GREEK) in " ".join(shown)
    assert "M<sup>{mu} log H</sup>".format(**GREEK) in " ".join(shown)
    assert str(mathematics("--objective squares-log, <b> at -3.2")) == (
        "--objective squares-log, &lt;b&gt; at \N{MINUS SIGN}3.2"
    )
