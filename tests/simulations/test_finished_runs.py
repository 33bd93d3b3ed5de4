"""What is asked of finished runs: clinical tasks, and patients of sites outside the federation."""

import polars as pl
import pyarrow.parquet as pq
import pytest
from meds_evaluation.schema import PredictionSchema
from typer.testing import CliRunner

from client.ehr.loss import evaluate_loss
from client.ehr.shard import TokenShard
from models.checkpoint import load_model
from simulations.cli import app
from simulations.runner import run_once
from wardlaw.config import from_flat
from wardlaw.records import load_record

SETTINGS = {
    "model.size": "xs",
    "model.context": 32,
    "train.batch-tokens": 128,
    "train.tokens": 512,
    "federation.replicas": 2,
    "federation.local-steps": 2,
    "evaluation.bootstrap": 50,
}


def call(*arguments) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("topology", ["local", "federated"])
def test_transfer_scores_every_patient_outside_with_the_final_models(random_federation, tmp_path, topology):
    federation, outside = random_federation(sites=2), random_federation(sites=1, patients=30)
    tokenizer = TokenShard.open(next((outside / "sites" / "site-0" / "tokens").iterdir())).manifest.tokenizer
    config = from_flat(
        SETTINGS | {"data.federation": str(federation), "data.tokenizer": tokenizer, "run.topology": topology}
    )
    record = load_record(run_once(config, tmp_path))
    call("transfer", tmp_path, "--outside", outside)
    found = pl.read_parquet(record.folder / "transfer.parquet")
    shard = TokenShard.open(next((outside / "sites" / "site-0" / "tokens").iterdir()))
    models = sorted((record.folder / "models").iterdir())
    assert found.height == len(models) * 3
    sums = evaluate_loss(load_model(models[0]), shard.split("train"), "fused", 32, 128)
    row = found.row(
        by_predicate=(pl.col("split") == "train") & (pl.col("replica") == models[0].name), named=True
    )
    assert (row["tokens"], row["events"], row["patients"]) == (sums.tokens, sums.events, sums.patients)
    assert row["nats"] == pytest.approx(sums.nats, rel=1e-5)


def test_tasks_are_answered_and_predictions_fit_their_schema(tmp_path):
    call("hospitals", "--out", tmp_path / "hospitals", "--sites", 2, "--patients", 150, "--seed", 1)
    call("prepare", "--meds", tmp_path / "hospitals", "--out", tmp_path / "federation", "--scheme", "ethos")
    config = from_flat(
        SETTINGS | {"data.federation": str(tmp_path / "federation"), "run.topology": "centralised"}
    )
    record = load_record(run_once(config, tmp_path / "runs"))
    call("downstream", tmp_path / "runs", "--trajectories", 2, "--most-tokens", 64)
    scores = pl.read_parquet(record.folder / "downstream.parquet")
    assert scores.height > 0
    assert {task.partition(" (")[2] for task in scores["task"]} == {"probe)", "zero-shot)"}
    for row in scores.iter_rows(named=True):
        assert row["auroc_low"] <= row["auroc"] <= row["auroc_high"]
        assert row["prevalence"] == pytest.approx(row["positives"] / row["n"])
    files = sorted((record.folder / "predictions").rglob("*.parquet"))
    assert len(files) == scores.height * 2
    for path in files:
        PredictionSchema.validate(pq.read_table(path))
