"""Studies of ECG runs: arms by family and objective, their own units, and nothing compared across objectives.

The records are made up (synthetic): losses follow a known law exactly, apart from noise between seeds.
"""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from analysis.cli import app
from analysis.comparison.compare import compare
from analysis.report.report import build_report, render
from analysis.tables.records import load_runs
from analysis.tables.run_table import read_runs
from wardlaw.config import RunConfig
from wardlaw.errors import RecordError
from wardlaw.records import RunResult, finish, open_record, write_table
from wardlaw.seeds import generator

SITES = ("cpsc", "georgia", "ptb")
CROPS = 40
# Parameters of a family's rungs, before the heads of its objective.
SIZES = {
    "resnet": {"20k": 22_000, "100k": 98_000, "500k": 520_000, "2m": 1_900_000},
    "transformer": {"20k": 20_000, "100k": 105_000, "500k": 480_000, "2m": 2_100_000},
}
HEADS = {"bce": 850, "asymmetric": 850, "cpc": 30_000, "jepa": 9_000}
TARGETS = {"bce": 26, "asymmetric": 26, "cpc": 12, "jepa": 16}
# E, A and alpha of the loss of centralised training in the parameters of the backbone and heads.
LAWS = {
    ("resnet", "bce"): (0.10, 1.0, 0.30),
    ("transformer", "bce"): (0.10, 2.0, 0.30),
    ("resnet", "cpc"): (3.0, 40.0, 0.30),
    ("transformer", "cpc"): (3.0, 30.0, 0.30),
}
ABOVE = {"centralised": 1.0, "local": 1.2, "federated": 1.05}


def write_ecg_run(
    runs: Path,
    loss: float,
    *,
    family: str = "resnet",
    objective: str = "bce",
    size: str = "20k",
    topology: str = "centralised",
    seed: int = 0,
    tokens: int = 409_600,
    negatives: int | None = None,
) -> Path:
    """One made-up record whose pooled loss per target is ``loss``."""
    config = RunConfig.model_validate(
        {
            "run": {"name": f"{family}-{objective}-{topology}-{size}", "seed": seed, "topology": topology},
            "model": {"family": family, "size": size, "context": 512},
            "objective": {"name": objective} | ({"negatives": negatives} if negatives else {}),
            "train": {"tokens": tokens, "batch-tokens": 8192},
            "federation": {"replicas": 4, "local-steps": 5},
        }
    )
    folder = open_record(runs, config)
    targets = CROPS * TARGETS[objective]
    write_table(
        folder,
        "steps",
        [
            {"replica": "union", "step": step, "tokens": 8192, "loss": loss * (1 + 2 / (1 + step))}
            for step in range(config.steps)
        ],
    )
    replicas = SITES if topology == "local" else ("union",)
    write_table(
        folder,
        "evaluation",
        [
            {
                "replica": replica,
                "site": site,
                "split": "held_out",
                "nats": targets
                * loss
                * (1 + 0.1 * (place - 1) + (0.02 - 0.06 * (replica == site)) * (topology == "local")),
                "tokens": targets,
                "events": CROPS // 4,
                "patients": CROPS // 4,
            }
            for replica in replicas
            for place, site in enumerate(SITES)
        ],
    )
    backbone = SIZES[family][size]
    finish(
        folder,
        RunResult(
            loss_per_token=loss,
            loss_per_event=loss * targets / (CROPS // 4),
            parameters=backbone + HEADS[objective],
            non_embedding_parameters=backbone,
            flops=0.5 * backbone * tokens,
            tokens=tokens,
            unique_tokens=tokens // 2,
            wall_s=3.0,
            bytes_down=0,
            bytes_up=0,
            sites=len(SITES),
            synthetic=True,
        ),
    )
    return folder


def write_ecg_study(
    runs: Path, *, seeds=(0, 1), topologies=("centralised", "federated"), noise=0.002
) -> Path:
    """Both families under a supervised and a self-supervised objective, four sizes each."""
    for (family, objective), (floor, a, alpha) in LAWS.items():
        for size, backbone in SIZES[family].items():
            law = floor + a * (backbone + HEADS[objective]) ** -alpha
            for seed in seeds:
                for topology in topologies:
                    drawn = generator(seed, family, objective, size, topology).normal()
                    write_ecg_run(
                        runs,
                        float(ABOVE[topology] * law * np.exp(noise * drawn)),
                        family=family,
                        objective=objective,
                        size=size,
                        topology=topology,
                        seed=seed,
                    )
    return runs


@pytest.fixture(scope="module")
def ecg_study(tmp_path_factory) -> Path:
    return write_ecg_study(tmp_path_factory.mktemp("ecg") / "runs")


@pytest.fixture(scope="module")
def report(ecg_study):
    return build_report(ecg_study, replicates=200)


def panel_of(report, key):
    return next(panel for panel in report.panels if panel.key == key)


def test_arms_are_a_topology_and_a_model(ecg_study):
    runs = load_runs(ecg_study)
    assert runs.arms == [
        f"{topology} {family} {objective}"
        for objective in ("bce", "cpc")
        for family in ("resnet", "transformer")
        for topology in ("Centralised", "FedAvg")
    ]
    assert [(one.model, one.centralised, one.local) for one in runs.peers] == [
        (f"{family} {objective}", f"Centralised {family} {objective}", "")
        for objective in ("bce", "cpc")
        for family in ("resnet", "transformer")
    ]
    assert runs.counted == "samples"
    # What stands in the name is no further difference.
    assert runs.differing == {}
    assert runs.splitting == {}


def test_a_setting_of_the_objective_makes_another_arm_and_no_sweep(tmp_path):
    for negatives in (64, 128):
        for topology in ("centralised", "federated"):
            write_ecg_run(tmp_path, 4.0, objective="cpc", topology=topology, negatives=negatives)
    report = build_report(tmp_path, replicates=100)
    assert report.runs.arms == [
        "Centralised resnet cpc",
        "FedAvg resnet cpc",
        "Centralised resnet cpc, negatives 64",
        "FedAvg resnet cpc, negatives 64",
    ]
    # Equal losses among so many negatives are a gap of 0; losses among other numbers are not compared.
    assert [(gap.arm, gap.reference) for gap in report.findings.gaps] == [
        ("FedAvg resnet cpc", "Centralised resnet cpc"),
        ("FedAvg resnet cpc, negatives 64", "Centralised resnet cpc, negatives 64"),
    ]
    assert report.findings.sweeps == ()


def test_gaps_are_to_the_centralised_arm_of_the_same_model(report):
    gaps = report.findings.gaps
    assert len(gaps) == 16
    table = report.runs.table
    for gap in gaps:
        assert gap.reference == gap.arm.replace("FedAvg", "Centralised")
        ours, theirs = (
            np.log(
                table.filter((pl.col("arm") == arm) & (pl.col("parameters") == gap.parameters))[
                    "loss_per_token"
                ].to_numpy()
            ).mean()
            for arm in (gap.arm, gap.reference)
        )
        assert gap.percent.estimate == pytest.approx(100 * (np.exp(ours - theirs) - 1))
        assert gap.percent.estimate == pytest.approx(5, abs=1.5)
    for arm, difference in report.findings.differences.items():
        assert arm.startswith("FedAvg")
        assert difference.estimate == pytest.approx(0, abs=0.1)


def test_sizes_are_compared_within_a_model(report):
    assert report.findings.largest == {
        f"{family} {objective}": (SIZES[family]["2m"] + HEADS[objective], 409_600)
        for family, objective in LAWS
    }
    sites = panel_of(report, "sites").data["sites"]
    assert sites["arm"].n_unique() == 8
    assert sites.group_by("arm").len()["len"].to_list() == [3] * 8


def test_efficiency_of_families_is_that_of_their_laws(report):
    assert [(one.objective, one.contrast.group, one.reference) for one in report.findings.families] == [
        (objective, f"{topology} transformer {objective}", f"{topology} resnet {objective}")
        for objective in ("bce", "cpc")
        for topology in ("Centralised", "FedAvg")
    ]
    for one in report.findings.families:
        _, a_reference, alpha = LAWS["resnet", one.objective]
        _, a, _ = LAWS["transformer", one.objective]
        (efficiency,) = one.contrast.efficiencies
        # N at a loss is (A / (L - E))^(1 / alpha): of equal E and alpha the ratio does not depend on it.
        truth = (a_reference / a) ** (1 / alpha)
        assert efficiency.curve["efficiency"].median() == pytest.approx(truth, rel=0.15)
    page = panel_of(report, "families-bce")
    assert "our definition" in page.caption
    assert {row["Against"] for row in page.rows} == {"Centralised resnet bce", "FedAvg resnet bce"}


def test_losses_have_the_units_of_their_objective_and_an_axis_each(report):
    chart = panel_of(report, "loss-by-size").chart
    assert [facet.title for facet in chart.facets] == ["bce", "cpc"]
    assert [facet.y.label for facet in chart.facets] == [
        "Held-out loss (nats per label)",
        "Held-out loss (nats per patch)",
    ]
    drawn = [{series.group.split()[-1] for series in facet.series} for facet in chart.facets]
    assert drawn == [{"bce"}, {"cpc"}]
    # Runs come near the chance of cpc alone; that of bce would flatten its curves.
    assert [[line.value for line in facet.references] for facet in chart.facets] == [
        [],
        [pytest.approx(np.log(129))],
    ]
    assert "A model that knows nothing has bce 0.693; cpc 4.86." in panel_of(report, "loss-by-size").caption
    page = render(report)
    for words in (
        "nats per label (bce), nats per patch (cpc)",
        "all nats over all labels or patches",
        "Samples trained on",
        "410 K samples, whatever its size",
        "losses of different objectives never are",
        "N without heads",
        "Nats/target",
        "Nats/record",
    ):
        assert words in page
    assert "token" not in page.partition("<main>")[0].partition("<h1>")[2].lower()


def test_a_study_of_one_objective_has_its_unit_in_the_table(tmp_path):
    for topology in ("centralised", "federated"):
        write_ecg_run(tmp_path, 0.2, topology=topology)
    report = build_report(tmp_path, unit="event", replicates=100)
    assert "Nats/label" in render(report)
    chart = panel_of(report, "loss-by-size").chart
    assert [(facet.title, facet.y.label) for facet in chart.facets] == [
        ("", "Held-out loss (nats per record)")
    ]


def test_a_loss_that_is_no_probability_is_not_called_nats(tmp_path):
    write_ecg_run(tmp_path, 0.05, objective="asymmetric")
    report = build_report(tmp_path, replicates=100)
    assert panel_of(report, "loss-by-size").chart.facets[0].y.label == (
        "Held-out loss (asymmetric loss per label)"
    )
    assert "asymmetric loss a label" in report.to_json()["headline"][0]
    assert "knows nothing" not in panel_of(report, "loss-by-size").caption


def test_targets_that_move_with_the_model_are_cautioned_against(tmp_path):
    for topology in ("centralised", "federated"):
        write_ecg_run(tmp_path, 0.2, objective="jepa", topology=topology)
        write_ecg_run(tmp_path, 0.2, objective="bce", topology=topology)
    cautions = build_report(tmp_path, replicates=100).to_json()["cautions"]
    assert [text.partition(" are made")[0] for text in cautions if "teacher" in text] == [
        "The targets of jepa"
    ]


def test_hospitals_alone_are_compared_with_their_own_models(tmp_path):
    for family, loss in (("resnet", 0.2), ("transformer", 0.3)):
        write_ecg_run(tmp_path, loss, family=family)
        write_ecg_run(tmp_path, 1.2 * loss, family=family, topology="local")
        write_ecg_run(tmp_path, 1.1 * loss, family=family, topology="federated")
    findings = build_report(tmp_path, replicates=100).findings
    assert {arm: share.estimate for arm, share in findings.closed.items()} == pytest.approx(
        {"FedAvg resnet bce": 50.0, "FedAvg transformer bce": 50.0}
    )
    at_home = {one.arm: one.percent for one in findings.at_home}
    # A replica at home has 0.96 of its site's loss there.
    for arm, ratio in (("Centralised", 1 / 1.2), ("FedAvg", 1.1 / 1.2)):
        for family in ("resnet", "transformer"):
            assert at_home[f"{arm} {family} bce"] == pytest.approx(100 * (ratio / 0.96 - 1))


def test_diagnoses_stand_in_and_out_of_distribution_with_intervals(tmp_path):
    run = write_ecg_run(tmp_path, 0.2)
    alone = write_ecg_run(tmp_path, 0.24, topology="local")
    old = write_ecg_run(tmp_path, 0.2, seed=1)

    def scored(where, site, auroc, replica="union"):
        figures = {"auroc": auroc, "auprc": 0.4, "f_measure": 0.3, "challenge_metric": -0.1}
        ends = {f"{name}_{end}": value for name, value in figures.items() for end in ("low", "high")}
        counts = {"classes": 9, "records": 26, "patients": 20, "resamples": 500}
        return (
            {"replica": replica, "method": "linear", "where": where, "site": site} | figures | ends | counts
        )

    rows = [scored("seen", "all", 0.8), scored("seen", "cpsc", 0.9), scored("unseen", "all", 0.7)]
    pl.DataFrame(rows).write_parquet(run / "ecg_scores.parquet")
    models = [scored("seen", "all", auroc, site) for auroc, site in zip((0.6, 0.7, 0.8), SITES, strict=True)]
    pl.DataFrame(models).write_parquet(alone / "ecg_scores.parquet")
    pl.DataFrame(rows).drop("classes").write_parquet(old / "ecg_scores.parquet")
    panel = panel_of(build_report(tmp_path, replicates=100), "diagnoses")
    shown = {row["Arm"]: row for row in panel.rows}
    assert list(shown) == ["Centralised resnet bce", "Local resnet bce"]
    pooled = shown["Centralised resnet bce"]
    assert (pooled["AUROC in"], pooled["AUROC out"]) == ("0.80 (0.80 to 0.80)", "0.70 (0.70 to 0.70)")
    assert (pooled["Challenge out"], pooled["Records"]) == ("-0.10 (-0.10 to -0.10)", "26, 26")
    assert shown["Local resnet bce"]["AUROC in"] == "0.70 (0.60 to 0.80)"
    assert shown["Local resnet bce"]["AUROC out"] == ""
    assert "500 bootstrap samples" in panel.caption
    assert len(panel.data["scores"]) == 4


def test_tables_keep_to_one_objective(ecg_study):
    table = read_runs(ecg_study)
    assert table.group == "arm"
    found = compare(table, reference="Centralised resnet bce", law="pure-power")
    assert list(found.fits) == [
        f"{topology} {family} bce"
        for family in ("resnet", "transformer")
        for topology in ("Centralised", "FedAvg")
    ]
    assert "Centralised resnet cpc" in found.warnings[0]
    with pytest.raises(RecordError, match="different objectives"):
        compare(table, reference="Centralised resnet bce", against=["FedAvg resnet cpc"], law="pure-power")
    with pytest.raises(RecordError, match="several objectives"):
        compare(table, group="family", reference="resnet", law="pure-power")


def test_commands_read_ecg_records(ecg_study, tmp_path):
    runner = CliRunner()
    fits = tmp_path / "fits.json"
    fitted = runner.invoke(
        app, ["fit", str(ecg_study), "--law", "power", "--bootstrap", "100", "--json", str(fits)]
    )
    assert fitted.exit_code == 0, fitted.output
    first = json.loads(fits.read_text())["groups"][0]
    assert first["group"] == "Centralised resnet bce"
    assert first["params"]["alpha"] == pytest.approx(0.3, abs=0.05)
    assert "bce: D counts samples, loss_per_token is nats per label" in first["notes"]
    out = tmp_path / "out"
    with pytest.raises(RecordError, match="several objectives"):
        runner.invoke(
            app, ["report", str(ecg_study), "--out", str(out), "--law", "power"], catch_exceptions=False
        )
    one = ["--law", "power", "--where", "objective = 'cpc'", "--bootstrap", "100"]
    reported = runner.invoke(app, ["report", str(ecg_study), "--out", str(out), *one])
    assert reported.exit_code == 0, reported.output
    assert "Loss (nats per patch)" in (out / "report.html").read_text()
    sites = tmp_path / "sites.csv"
    sites.write_text("site,patients,tokens\na,100,100000\nb,100,100000\n")
    plan = tmp_path / "plan.json"
    planned = runner.invoke(
        app,
        [
            *("plan", str(ecg_study), "--sites", str(sites), "--compute", "1e11", "--bootstrap", "100"),
            *("--federated", "FedAvg transformer cpc", "--json", str(plan)),
        ],
    )
    assert planned.exit_code == 0, planned.output
    numbers = json.loads(plan.read_text())
    assert numbers["measured"] == "nats a patch"
    assert {one["arm"] for one in numbers["losses"]} == {
        "FedAvg transformer cpc",
        "Centralised transformer cpc",
    }
