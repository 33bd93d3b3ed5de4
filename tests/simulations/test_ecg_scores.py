"""Scores of ECG runs: who was seen, what is written, and what is refused."""

import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from analysis.report.downstream import downstream_table
from analysis.tables.records import load_runs
from client.ecg.evaluation import attention, finetune
from client.ecg.request import ShardSettings
from client.ecg.scoring.figures import measure
from client.ecg.scoring.tables import BINARY, SHARE, match, read_codes
from client.ecg.shard import SPLITS, SignalShard
from client.ecg.shard_writer import write_shard
from client.ecg.synthetic.record import synthetic_record
from client.ecg.synthetic.site import Device, SyntheticSite
from simulations.ecg.prepare import prepare_ecg_federation
from simulations.ecg.scores import score_run
from simulations.ecg.scores_command import ecg_scores
from simulations.federation_folder import load_federation
from simulations.topologies import run_topology
from wardlaw.config import from_flat
from wardlaw.errors import ConfigError, RecordError, ShardError
from wardlaw.records import load_record

app = typer.Typer()
app.command()(ecg_scores)

PREVALENCE = {"AF": 0.3, "PVC": 0.3}


def federation_of(folder, sites, rate=100.0):
    for site in sites:
        settings = SyntheticSite(
            site=site, patients=30, seconds=4, prevalence=PREVALENCE, device=Device(rate=100)
        )
        records = (synthetic_record(settings, number) for number in range(settings.patients))
        write_shard(
            folder / "shards" / site,
            records,
            ShardSettings(rate=rate),
            site=site,
            source="synthetic",
            synthetic=True,
        )
    prepare_ecg_federation([folder / "shards" / site for site in sites], folder / "fed", drop_shared=False)
    return folder / "fed"


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    return federation_of(tmp_path_factory.mktemp("ecg"), "abcd")


def compute(federation, runs, name, **changes):
    settings = {
        "data.federation": str(federation),
        "data.tokenizer": load_federation(federation).tokenizer,
        "data.sites": "a,b,c",
        "run.name": name,
        "run.records": str(runs),
        "run.topology": "centralised",
        "model.family": "resnet",
        "model.size": "20k",
        "model.context": 256,
        "objective.name": "bce",
        "train.batch-tokens": 256 * 12,
        "train.tokens": 256 * 12 * 8,
        "federation.replicas": 3,
        "federation.local-steps": 4,
        "evaluation.bootstrap": 50,
    }
    changed = {key.replace("__", "."): value for key, value in changes.items()}
    return load_record(run_topology(from_flat(settings | changed), runs))


@pytest.fixture(scope="module")
def runs(federation, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    compute(federation, folder, "central")
    compute(federation, folder, "federated", run__topology="federated", objective__name="reconstruction")
    compute(federation, folder, "local", run__topology="local")
    return folder


@pytest.fixture(scope="module")
def record_of(runs):
    return lambda name: load_record(next(runs.glob(f"{name}-*")))


@pytest.fixture(scope="module")
def central(record_of):
    return score_run(record_of("central"), ["own", "linear"])


def counted(federation, site, split):
    shard = SignalShard.open(federation.parent / "shards" / site)
    return shard.manifest.splits[split].records


def test_seen_is_held_out_and_unseen_is_all_of_the_other_sites(central, federation):
    own = central.filter(pl.col("method") == "own")
    places = {(row["where"], row["site"]): row for row in own.iter_rows(named=True)}
    assert list(places) == [
        ("seen", "all"),
        *(("seen", site) for site in "abc"),
        ("unseen", "all"),
        ("unseen", "d"),
    ]
    for site in "abc":
        assert places["seen", site]["records"] == counted(federation, site, "held_out")
    assert places["seen", "all"]["records"] == sum(counted(federation, site, "held_out") for site in "abc")
    assert places["unseen", "d"]["records"] == places["unseen", "all"]["patients"] == 30
    assert own["left_out"].sum() == 0
    whole = places["unseen", "all"]
    assert 1 <= whole["classes"] <= 26
    assert whole["labels"] == whole["classes"] * 30
    assert whole["auroc_low"] <= whole["auroc"] <= whole["auroc_high"]


def test_no_patient_of_the_run_s_sites_is_scored_as_unseen(record_of, central, federation):
    folder = record_of("central").folder / "predictions" / "linear-union"
    unseen = set(read_codes(folder / "unseen-d.csv", SHARE).records)
    assert len(unseen) == 30
    shards = [SignalShard.open(federation.parent / "shards" / site) for site in "abc"]
    trained = {name for shard in shards for split in SPLITS for name in shard.split(split).patients.tolist()}
    assert not unseen & trained
    assert {name[0] for name in unseen} == {"d"}


def test_rows_say_which_run_they_are_of(record_of, central):
    record = record_of("central")
    row = central.row(0, named=True)
    assert row["run"] == record.folder.name
    assert [row[name] for name in ("family", "objective", "size", "topology", "seed")] == [
        "resnet",
        "bce",
        "20k",
        "centralised",
        0,
    ]
    assert row["run_loss"] == record.result.loss_per_token
    assert row["synthetic"] is True
    stored = pl.read_parquet(record.folder / "ecg_scores.parquet")
    assert stored.equals(central)


def test_the_files_of_predictions_score_as_the_rows_say(record_of, central):
    for stem, where, site in (("b", "seen", "b"), ("unseen-d", "unseen", "d")):
        path = record_of("central").folder / "predictions" / "own-union" / stem
        labels, outputs = (
            read_codes(path.with_suffix(f".{name}.csv"), BINARY) for name in ("labels", "outputs")
        )
        predictions = match(labels, outputs, read_codes(path.with_suffix(".csv"), SHARE))
        row = central.filter(method="own", where=where, site=site).row(0, named=True)
        figures = measure(predictions)
        assert figures.challenge_metric[0] == pytest.approx(row["challenge_metric"], abs=1e-12)
        assert len(labels.records) == row["records"]
        assert predictions.labels.sum() >= row["positives"]


def test_a_hospital_s_own_model_is_scored_at_home_and_elsewhere(record_of, federation):
    rows = score_run(record_of("local"), ["own"], resamples=0)
    assert rows["replica"].unique().sort().to_list() == ["a", "b", "c"]
    of_b = rows.filter(replica="b")
    homes = of_b.filter(where="home")
    assert homes["site"].to_list() == ["b"]
    assert homes["records"].to_list() == [counted(federation, "b", "held_out")]
    assert of_b.filter(where="elsewhere")["site"].to_list() == ["all", "a", "c"]
    assert of_b.filter(where="seen")["site"].to_list() == ["all"]
    seen, elsewhere = (of_b.filter(where=where, site="all")["records"][0] for where in ("seen", "elsewhere"))
    assert seen == elsewhere + homes["records"][0]
    assert of_b["auroc_low"].null_count() == len(of_b)
    # What a hospital has no patient of, its own head does not answer.
    shard = SignalShard.open(federation.parent / "shards" / "b")
    labels = shard.split("train").labels
    missing = (labels.sum(0) == 0).sum()
    outputs = pl.read_csv(record_of("local").folder / "predictions" / "own-b" / "a.outputs.csv")
    silent = [name for name in outputs.columns[1:] if outputs[name].sum() == 0]
    assert 0 < missing <= len(silent)


def test_sites_outside_are_searched_for_patients_of_the_run(record_of, federation):
    rows = score_run(record_of("central"), ["own"], outside=federation, resamples=0)
    unseen = rows.filter(where="unseen")
    assert unseen["site"].to_list() == ["all", "d"]
    assert unseen["left_out"].to_list() == [90, 0]
    assert unseen["records"].to_list() == [30, 30]


def test_sites_outside_of_another_rate_are_refused(record_of, tmp_path):
    other = federation_of(tmp_path, "e", rate=50.0)
    with pytest.raises(ShardError, match="Make the"):
        score_run(record_of("central"), ["own"], outside=other)


def invoke(*arguments):
    result = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_joins_all_runs_and_the_report_shows_them(runs, tmp_path, monkeypatch):
    for method, steps in ((finetune, 4), (attention, 20)):
        monkeypatch.setattr(method, "STEPS", steps)
        monkeypatch.setattr(method, "STAGE", steps // 2)
    out = tmp_path / "scores.csv"
    output = invoke(runs, "--bootstrap", 20, "--table", out)
    table = pl.read_csv(out)
    assert table["run"].n_unique() == 3
    assert set(table.filter(topology="centralised")["method"]) == {"own", "linear", "attention", "finetune"}
    assert set(table.filter(topology="federated")["method"]) == {"linear", "attention", "finetune"}
    assert set(table.filter(topology="federated")["replica"]) == {"global"}
    assert table["resamples"].unique().to_list() == [20]
    assert table.filter(topology="federated")["strategy"].unique().to_list() == ["fedavg"]
    assert "elsewhere" in output
    assert f"-> {out}" in output
    shown = downstream_table(load_runs(runs))
    tasks = set(shown["task"])
    assert {"diagnoses (finetune)", "diagnoses, unseen sites (linear)"} <= tasks
    assert len(tasks) == 8
    arms = shown.filter(task="diagnoses, unseen sites (linear)")
    assert sorted(arms["models"].to_list()) == [1, 1, 3]
    assert arms["n"].null_count() == 0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["--method", "knn"], ConfigError, "no method knn.*own, linear"),
        (["--only", "nothing"], RecordError, "no finished run here"),
        (["--only", "federated", "--method", "own"], ConfigError, "no method is for the models"),
    ],
)
def test_what_cannot_be_scored_is_refused_in_one_line(runs, arguments, error, message):
    with pytest.raises(error, match=message) as refusal:
        invoke(runs, *arguments)
    assert "\n" not in str(refusal.value)


def test_runs_of_ehr_and_of_sweeps_are_refused(random_federation, federation, tmp_path):
    ehr = from_flat(
        {
            "data.federation": str(random_federation(sites=2)),
            "run.records": str(tmp_path / "ehr"),
            "run.topology": "centralised",
            "model.context": 32,
            "train.batch-tokens": 128,
            "train.tokens": 128 * 2,
        }
    )
    run_topology(ehr, tmp_path / "ehr")
    with pytest.raises(RecordError, match=r"'decoder' reads no ECG.*`wardlaw simulate downstream`"):
        invoke(tmp_path / "ehr")
    compute(federation, tmp_path / "sweep", "sweep", evaluation__split="tuning")
    with pytest.raises(RecordError, match=r"held-out records are not for this run.*--only"):
        invoke(tmp_path / "sweep")
