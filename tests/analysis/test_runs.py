"""Reading a folder of records: arms, and what is left out and why."""

import json
import math
import shutil

import polars as pl
import pytest

from analysis.runs import at_largest_budget, load_runs
from wardlaw.errors import RecordError


def test_the_table_holds_what_the_records_say(study):
    runs = load_runs(study)
    assert len(runs.table) == 40
    assert runs.arms == ["Centralised", "Local", "FedAvg", "FedProx"]
    assert runs.left_out == ()
    row = runs.table.filter((pl.col("arm") == "FedProx") & (pl.col("size") == "1m")).row(0, named=True)
    assert (row["parameters"], row["non_embedding_parameters"]) == (1_000_000, 800_000)
    assert row["epochs"] == pytest.approx(409_600 / 200_000)
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
