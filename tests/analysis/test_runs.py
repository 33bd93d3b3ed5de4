"""Reading a folder of records: arms, and what is left out and why."""

import json
import math
import shutil

import polars as pl
import pytest

from analysis.report.findings import analyse
from analysis.report.sweeps import find_sweeps
from analysis.tables.records import at_largest_budget, load_runs
from wardlaw.errors import RecordError


def test_the_table_holds_what_the_records_say(study):
    runs = load_runs(study)
    assert len(runs.table) == 40
    assert runs.arms == ["Centralised", "Local", "FedAvg", "FedProx"]
    assert runs.left_out == ()
    row = runs.table.filter((pl.col("arm") == "FedProx") & (pl.col("size") == "1m")).row(0, named=True)
    assert (row["parameters"], row["non_embedding_parameters"]) == (1_000_000, 800_000)
    assert row["tokens"] == 409_600
    assert row["epochs"] == pytest.approx(row["trained_tokens"] / 200_000)
    # Packing leaves a little less, which differs between seeds and topologies; they still are one point.
    assert runs.table["trained_tokens"].n_unique() > 1
    assert runs.table["tokens"].n_unique() == 1
    assert len(at_largest_budget(runs.table)) == 40
    assert row["patients"] == 100
    assert row["local_steps"] == 10
    assert row["synthetic"] is True
    assert runs.table.filter(pl.col("arm") == "Local")["local_steps"].null_count() == 10


def test_bad_records_are_counted_with_their_reason(make_run, tmp_path):
    make_run(tmp_path, loss=2.0, seed=0)
    make_run(tmp_path, loss=2.0, seed=1, finished=False)
    make_run(tmp_path, loss=math.nan, seed=2)
    damaged = make_run(tmp_path, loss=2.0, seed=3)
    (damaged / "result.json").write_text("{")
    edited = make_run(tmp_path, loss=2.0, seed=4)
    result = json.loads((edited / "result.json").read_text())
    (edited / "result.json").write_text(json.dumps(result | {"loss_per_token": 1.9}))
    text = make_run(tmp_path, loss=2.0, seed=5)
    (text / "result.json").write_text(json.dumps(result | {"parameters": "many"}))
    truncated = make_run(tmp_path, loss=2.0, seed=6)
    (truncated / "evaluation.parquet").write_bytes(b"PAR1")
    manifest = make_run(tmp_path, loss=2.0, seed=7) / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"run.seed": 7', '"run.seed": 8'))
    shutil.copytree(make_run(tmp_path, loss=2.0, seed=0), tmp_path / "copy" / "of-seed-0")

    runs = load_runs(tmp_path)
    assert runs.table["seed"].to_list() == [0]
    reasons = sorted(left_out.reason for left_out in runs.left_out)
    assert len(reasons) == 8
    for expected in (
        "unfinished",
        "diverged: loss_per_token is nan",
        "not a finished run record",
        "the recorded loss per token is 1.9, its per-site sums give 2.0",
        "parameters is 'many'",
        "cannot read evaluation.parquet",
        "do not match the recorded fingerprint",
        "duplicate: the same experiment as",
    ):
        assert any(expected in reason for reason in reasons), expected


def test_a_folder_without_finished_runs_is_one_clear_error(make_run, tmp_path):
    with pytest.raises(RecordError, match="no finished run among the 0 found"):
        load_runs(tmp_path)
    with pytest.raises(RecordError, match="no such folder"):
        load_runs(tmp_path / "absent")
    make_run(tmp_path, loss=2.0, finished=False)
    with pytest.raises(RecordError, match=r"among the 1 found.*unfinished"):
        load_runs(tmp_path)


def test_a_setting_that_varies_at_one_size_splits_an_arm(make_run, tmp_path):
    for local_steps in (100, 20):
        make_run(tmp_path, loss=2.0, local_steps=local_steps)
    make_run(tmp_path, loss=2.0, topology="centralised")
    runs = load_runs(tmp_path)
    assert runs.arms == ["Centralised", "FedAvg, local-steps 20", "FedAvg, local-steps 100"]


def test_a_setting_that_follows_the_size_does_not_split_an_arm(make_run, tmp_path):
    make_run(tmp_path, loss=2.5, size="xs", local_steps=10)
    make_run(tmp_path, loss=2.0, size="40k", local_steps=20)
    assert load_runs(tmp_path).arms == ["FedAvg"]


def test_rates_chosen_for_each_arm_split_none(make_run, tmp_path):
    rates = {"centralised": 0.02, "local": 0.005, "federated": 0.01}
    for topology, rate in rates.items():
        for seed in (0, 1):
            make_run(tmp_path, loss=2.0, topology=topology, learning_rate=rate, seed=seed)
    runs = load_runs(tmp_path)
    assert runs.arms == ["Centralised", "Local", "FedAvg"]
    assert runs.splitting == {}
    assert runs.differing == {
        "train.learning-rate": {"Centralised": "0.02", "Local": "0.005", "FedAvg": "0.01"}
    }


def test_a_rate_swept_within_an_arm_splits_that_arm_only(make_run, tmp_path):
    for size, best in (("xs", 0.01), ("40k", 0.02)):
        for rate in (0.005, 0.01, 0.02):
            make_run(tmp_path, loss=2.0 + abs(rate - best), size=size, learning_rate=rate)
    make_run(tmp_path, loss=1.9, topology="centralised", learning_rate=0.005)
    runs = load_runs(tmp_path)
    assert runs.arms == ["Centralised", *(f"FedAvg, learning-rate {rate}" for rate in (0.005, 0.01, 0.02))]
    (sweep,) = find_sweeps(runs, "loss_per_token")
    assert sweep.setting == "train.learning-rate"
    assert sweep.lowest.select("arm", "parameters", "value", "at_edge").rows() == [
        ("FedAvg", 10_000, "0.01", False),
        ("FedAvg", 40_000, "0.02", True),
    ]
    assert sweep.table["value"].to_list() == ["0.005", "0.01", "0.02"] * 2
    assert sweep.table["percent"][0] == pytest.approx(100 * 0.005 / 2)


def test_settings_of_a_server_tell_no_runs_without_one_apart(make_run, tmp_path):
    for local_steps in (10, 20):
        make_run(tmp_path, loss=2.0, topology="centralised", local_steps=local_steps)
        make_run(tmp_path, loss=2.1, local_steps=local_steps)
    runs = load_runs(tmp_path)
    assert runs.arms == ["Centralised", "FedAvg, local-steps 10", "FedAvg, local-steps 20"]
    assert len(runs.table) == 3
    assert "duplicate" in runs.left_out[0].reason


def test_a_budget_that_follows_the_size_does_not_split_an_arm(make_run, tmp_path):
    for topology in ("centralised", "federated"):
        for size, tokens in (("xs", 204_800), ("40k", 409_600)):
            for seed in (0, 1):
                make_run(tmp_path, loss=2.0, size=size, tokens=tokens, seed=seed, topology=topology)
    findings = analyse(load_runs(tmp_path), replicates=100)
    assert list(findings.means) == ["Centralised", "FedAvg"]
    assert [(gap.parameters, gap.tokens, gap.seeds) for gap in findings.gaps] == [
        (10_000, 204_800, 2),
        (40_000, 409_600, 2),
    ]


def test_curves_take_the_largest_token_budget_of_each_size(make_run, tmp_path):
    for tokens in (204_800, 409_600):
        make_run(tmp_path, loss=2.0, tokens=tokens)
    make_run(tmp_path, loss=1.9, size="40k", tokens=204_800)
    chosen = at_largest_budget(load_runs(tmp_path).table)
    assert chosen.select("size", "tokens").rows() == [("xs", 409_600), ("40k", 204_800)]


def test_a_malformed_oracle_is_refused(make_run, tmp_path):
    make_run(tmp_path, loss=2.0)
    (tmp_path / "oracle.json").write_text('{"nats_per_token": 1.0}')
    with pytest.raises(RecordError, match="not an irreducible loss"):
        load_runs(tmp_path)
