import numpy as np
import polars as pl
import pytest
import torch
from scipy import stats
from sklearn.metrics import roc_auc_score
from torch import nn

from client.ehr.loss import evaluate_loss
from client.ehr.shard import TokenShard
from client.privacy.clipping import Clipping
from client.privacy.noise import gaussian
from models.checkpoint import load_model
from simulations.audit.membership import attack, sideways_movement
from simulations.audit.trained_runs import attack_run, negative_losses
from simulations.runner import run_once
from wardlaw.config import from_flat
from wardlaw.records import load_record

RNG = np.random.Generator(np.random.PCG64(3))


def test_figures_are_those_of_two_normals() -> None:
    members, others = RNG.normal(2.0, 1.0, 20_000), RNG.normal(0.0, 1.0, 20_000)
    found = attack(members, others, 0.01)
    labels = np.repeat([1, 0], 20_000)
    assert found.auroc == pytest.approx(roc_auc_score(labels, np.concatenate([members, others])), rel=1e-9)
    exact = stats.norm.sf(stats.norm.isf(0.01) - 2.0)
    assert found.true_positive_rate == pytest.approx(exact, abs=0.03)
    assert found.low < found.true_positive_rate < found.high
    assert found.resolved


def test_a_threshold_lets_no_more_of_the_others_pass_than_allowed() -> None:
    others = np.repeat([0.0, 1.0, 2.0], [500, 490, 10])
    assert attack(np.full(5, 2.5), others, 0.01).true_positive_rate == 1.0
    # Ten others have a score of 2: at 0.9 % no one with that score may pass.
    assert attack(np.full(5, 2.0), others, 0.009).true_positive_rate == 0.0
    assert attack(np.full(5, 2.0), others, 0.01).true_positive_rate == 1.0
    assert not attack(np.full(5, 2.0), others, 0.0009).resolved


def movement_of_rows(noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows of an embedding after three steps in which a third of the tokens are read."""
    rows = nn.Parameter(torch.from_numpy(RNG.normal(size=(60, 8))).float())
    before = rows.detach().clone()
    clipping = Clipping(norm=1.0)
    for step in range(3):
        loss = nn.functional.embedding(torch.arange(20), rows).pow(3).sum()
        (gradient,) = torch.autograd.grad(loss, rows)
        gradient = gradient * clipping.factors(gradient.norm())
        gradient += gaussian(bytes(32), f"noise/{step}", (60, 8), noise)
        with torch.no_grad():
            rows.mul_(0.99).sub_(0.1 * gradient)
    moved = sideways_movement(before, rows.detach())
    return moved[:20], moved[20:]


def test_rows_that_were_read_show_unless_noise_moves_the_others_too() -> None:
    seen, unseen = movement_of_rows(noise=0.0)
    # Decay shortens and does not turn.
    assert unseen.max() < 1e-6
    assert attack(seen, unseen).auroc == 1.0
    assert attack(*movement_of_rows(noise=1.0)).auroc < 0.75


def test_a_run_that_learnt_its_patients_by_heart_gives_them_away(random_federation, tmp_path) -> None:
    federation = random_federation(sites=2)
    folder = next((federation / "sites" / "site-0" / "tokens").iterdir())
    shard = TokenShard.open(folder)
    settings = {
        "data.federation": str(federation),
        "data.tokenizer": shard.manifest.tokenizer,
        "model.size": "xs",
        "model.context": 32,
        "train.batch-tokens": 512,
        "train.tokens": 120_000,
        "evaluation.bootstrap": 50,
        "run.topology": "centralised",
    }
    record = load_record(run_once(from_flat(settings), tmp_path))
    table = attack_run(record)
    assert table["mechanism"].to_list() == ["none"]
    assert table["auroc"][0] > 0.7
    assert pl.read_parquet(record.folder / "membership.parquet").equals(table)

    model = load_model(next((record.folder / "models").iterdir()))
    scores = negative_losses(model, shard, "train", record.config)
    lengths = shard.split("train").lengths.astype(int)
    sums = evaluate_loss(model, shard.split("train"), "fused", 32, 512)
    assert -(scores * (lengths[lengths > 1] - 1)).sum() == pytest.approx(sums.nats, rel=1e-6)
