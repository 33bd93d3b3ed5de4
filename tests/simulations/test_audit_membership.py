from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import roc_auc_score
from torch import nn

from client.ecg.loss import record_losses
from client.ehr.loss import evaluate_loss
from client.ehr.shard import TokenShard
from client.privacy.clipping import Clipping
from client.privacy.noise import gaussian
from client.site import open_site_shard
from models.checkpoint import load_model
from simulations.audit.bounds import one_run_epsilon
from simulations.audit.membership import attack, sideways_movement
from simulations.audit.patient_scores import negative_losses
from simulations.audit.trained_runs import AUDIT_FILE, audit_run, epsilon_at_least, tokens_read
from simulations.ecg.prepare import prepare_ecg_federation
from simulations.federation_folder import load_federation, participating_policies
from simulations.runner import run_once
from tests.noise_ecg import noise_shard
from wardlaw.config import from_flat
from wardlaw.errors import RecordError
from wardlaw.privacy.audits import Audit
from wardlaw.privacy.statement_files import load_statement
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


@pytest.fixture(scope="module")
def learnt(random_federation, tmp_path_factory):
    """A run whose patients are random tokens: whatever it knows of them, it knows by heart."""
    federation = random_federation(sites=2)
    folder = next((federation / "sites" / "site-0" / "tokens").iterdir())
    settings = {
        "data.federation": str(federation),
        "data.tokenizer": TokenShard.open(folder).manifest.tokenizer,
        "model.size": "xs",
        "model.context": 32,
        "train.batch-tokens": 512,
        "train.tokens": 120_000,
        "run.topology": "centralised",
    }
    return load_record(run_once(from_flat(settings), tmp_path_factory.mktemp("runs"))), folder


def test_a_run_that_learnt_its_patients_by_heart_gives_them_away(learnt) -> None:
    record, _ = learnt
    statement = audit_run(record)
    (found,) = statement.audit.attacks
    assert found.auroc > 0.7
    # Every other patient of both sites: half as many of each split as are trained on.
    assert (found.replica, found.members, found.others) == ("union", 80, 80)
    assert load_statement(record.folder) == statement
    assert Audit.model_validate_json((record.folder / AUDIT_FILE).read_bytes()) == statement.audit
    page = " ".join((record.folder / "privacy.txt").read_text().split())
    assert f"AUROC {found.auroc:.3f}" in page
    assert "resolve no rate below 0.013" in page


def test_scores_are_the_losses_of_evaluation(learnt) -> None:
    record, folder = learnt
    model, shard = load_model(next((record.folder / "models").iterdir())), TokenShard.open(folder)
    scores = negative_losses(model, shard, "train", record.config)
    lengths = shard.split("train").lengths.astype(int)
    sums = evaluate_loss(model, shard.split("train"), "fused", 32, 512)
    assert -(scores * (lengths[lengths > 1] - 1)).sum() == pytest.approx(sums.nats, rel=1e-6)


def test_codes_that_no_patient_has_stand_still_in_the_embedding(random_federation, tmp_path) -> None:
    federation = random_federation(sites=1, patients=10, length=20, codes=300)
    shard = TokenShard.open(next((federation / "sites" / "site-0" / "tokens").iterdir()))
    settings = {
        "data.federation": str(federation),
        "data.tokenizer": shard.manifest.tokenizer,
        "model.size": "xs",
        "model.context": 32,
        "train.batch-tokens": 64,
        "train.tokens": 64 * 16,
        "federation.replicas": 1,
        "federation.quorum": 1,
        "federation.local-steps": 8,
    }
    (found,) = audit_run(load_record(run_once(from_flat(settings), tmp_path))).audit.presence
    read = tokens_read([shard], shard.manifest.vocabulary_size)
    split = shard.split("train")
    pairs = zip(split.first_token.tolist(), split.lengths.tolist(), strict=True)
    inputs = {int(token) for first, length in pairs for token in split.tokens[first : first + length - 1]}
    assert set(np.flatnonzero(read).tolist()) == inputs
    assert (found.present, found.absent) == (len(inputs), shard.manifest.vocabulary_size - len(inputs))
    assert found.absent > 0
    assert found.auroc == 1.0


def test_a_score_that_tells_all_bounds_epsilon_and_one_that_tells_nothing_does_not() -> None:
    members, others = RNG.normal(8.0, 1.0, 900), RNG.normal(0.0, 1.0, 300)
    # All of 300 guesses right: epsilon as of randomised response, arXiv 2305.08846, theorem 5.2.
    bound = epsilon_at_least(members, others, 1e-9, 0)
    assert bound == pytest.approx(one_run_epsilon(300, 150, 150, 0.01, 1e-9), abs=0.2)
    alarms = [
        epsilon_at_least(RNG.normal(size=900), RNG.normal(size=300), 1e-6, seed) > 0.5 for seed in range(20)
    ]
    assert not any(alarms)
    assert epsilon_at_least(members[:3], others, 1e-6, 0) == 0


def test_an_ecg_runs_unit_is_the_patient_whatever_the_number_of_records(tmp_path) -> None:
    for site in "ab":
        noise_shard(tmp_path / "shards" / site, site, patients=40)
    federation = tmp_path / "federation"
    prepare_ecg_federation([tmp_path / "shards" / site for site in "ab"], federation, drop_shared=False)
    settings = {
        "data.federation": str(federation),
        "data.tokenizer": load_federation(federation).tokenizer,
        "model.family": "resnet",
        "model.size": "20k",
        "model.context": 256,
        "objective.name": "bce",
        "train.batch-tokens": 256 * 8,
        "train.tokens": 256 * 8 * 2,
        "train.device": "cpu",
        "federation.replicas": 2,
        "run.topology": "local",
    }
    config = from_flat(settings)
    record = load_record(run_once(config, tmp_path / "runs"))
    shard = open_site_shard(participating_policies(config)[0], config.data.tokenizer)
    found = audit_run(record).audit.attacks
    assert [attack.replica for attack in found] == ["a", "b"]
    assert found[0].members == shard.manifest.patients("train")
    assert found[0].others == shard.manifest.patients("tuning") + shard.manifest.patients("held_out")
    model = load_model(record.folder / "models" / "a")
    nats, targets = record_losses(model, shard, "train", 256)
    twice = replace(shard)
    split = replace(shard.split("train"), patients=np.repeat(["p"], len(nats)))
    object.__setattr__(twice, "split", lambda name: split)
    together = negative_losses(model, twice, "train", config)
    assert together.tolist() == pytest.approx([-nats.sum() / targets.sum()])
    with pytest.raises(RecordError, match="does not read"):
        negative_losses(torch.nn.Linear(1, 1), shard, "train", config)
