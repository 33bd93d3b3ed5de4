"""Private ECG federations: the ledger's word on what they cost, replays, limits, and what is told."""

import math

import polars as pl
import pytest
import torch
from flwr.app import ConfigRecord, RecordDict
from safetensors.numpy import load_file

import client.local_round
from client.handlers import evaluate
from client.privacy.ledger import Ledger
from client.privacy.limits import limit_of, require_private_run
from client.privacy.spending import Limit
from client.site import Site
from client.training_replica import training_replica
from models.registry import build_model
from models.weights import weight_record
from simulations.ecg.prepare import prepare_ecg_federation
from simulations.federation_folder import load_federation, participating_policies
from simulations.in_process import run_in_process
from simulations.topologies import run_topology
from tests.noise_ecg import noise_shard, small_run
from wardlaw import protocol
from wardlaw.config import from_flat
from wardlaw.config.run_section import RunSection
from wardlaw.errors import ConfigError, LedgerError, PolicyError, RoundError, WardlawError
from wardlaw.privacy.accountant import epsilon
from wardlaw.privacy.events import PoissonGaussian
from wardlaw.records import load_record

CONTEXT, STEPS, LOCAL_STEPS, SIGMA, PATIENTS = 256, 4, 2, 2.0, 6
SITES = "ab"
PRIVATE = {
    "privacy.mechanism": "dp-sgd",
    "privacy.noise-multiplier": SIGMA,
    "privacy.patients": PATIENTS,
    "privacy.delta": 1e-5,
}


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    for number, site in enumerate(SITES):
        noise_shard(folder / site, site, patients=24 + 8 * number)
    return folder


@pytest.fixture
def federate(shards, tmp_path):
    def make(name="federation"):
        prepare_ecg_federation([shards / site for site in SITES], tmp_path / name, drop_shared=False)
        return tmp_path / name

    return make


def config_of(federation, changes=PRIVATE):
    settings = small_run(federation, context=CONTEXT, batch_tokens=CONTEXT * 8, steps=STEPS) | {
        "federation.replicas": 2,
        "federation.quorum": 2,
        "federation.local-steps": LOCAL_STEPS,
    }
    return from_flat(settings | changes)


def ledger_of(policy):
    return Ledger.load(policy.state, policy.site)


def weights(folder):
    return load_file(folder / "checkpoints" / f"round-{STEPS // LOCAL_STEPS:06d}.safetensors")


def test_the_ledger_alone_tells_the_epsilon_of_all_rounds_together(federate, tmp_path):
    config = config_of(federate())
    run_in_process(config, tmp_path / "runs")
    for policy, shard_patients in zip(participating_policies(config), (24, 32), strict=True):
        (event,) = ledger_of(policy).events()
        assert (event.steps, event.noise_multiplier) == (STEPS, SIGMA)
        # Not all of a site's patients are in its train split.
        patients = PATIENTS / event.sampling_rate
        assert patients == pytest.approx(round(patients))
        assert 0.5 * shard_patients < patients < shard_patients
        once = epsilon([PoissonGaussian(event.sampling_rate, SIGMA, STEPS)], 1e-5)
        assert (
            ledger_of(policy).spent(1e-5)
            == once
            > epsilon([PoissonGaussian(event.sampling_rate, SIGMA, LOCAL_STEPS)], 1e-5)
        )


def test_a_run_that_was_stopped_pays_once_and_ends_in_the_same_bits(federate, tmp_path):
    config = config_of(federate())
    folder = run_in_process(config, tmp_path / "runs")
    before = [ledger_of(policy).events() for policy in participating_policies(config)]
    # Without the record the server asks for every round again.
    again = run_in_process(config, tmp_path / "again")
    assert [ledger_of(policy).events() for policy in participating_policies(config)] == before
    assert all((weights(again)[name] == value).all() for name, value in weights(folder).items())


def test_two_sites_secrets_differ_and_so_does_their_noise(federate, tmp_path):
    one, other = config_of(federate("one")), config_of(federate("other"))
    first, second = (run_in_process(config, tmp_path / name) for name, config in (("a", one), ("b", other)))
    assert any((weights(first)[name] != value).any() for name, value in weights(second).items())


def test_what_a_round_tells_has_no_loss_and_no_count_of_the_drawn(federate, tmp_path):
    config = config_of(federate())
    folder = run_in_process(config, tmp_path / "runs")
    rounds = pl.read_parquet(folder / "rounds.parquet")
    assert rounds["train_loss"].is_null().all()
    # What a step draws on average, whoever was drawn: a count of the drawn would rarely come to this.
    assert load_record(folder).result.tokens == len(SITES) * STEPS * PATIENTS * CONTEXT


@pytest.fixture
def refusals(monkeypatch):
    """Errors of sites that would not pay."""
    told = []
    real = client.local_round.pay_for_round

    def noted(*arguments):
        try:
            return real(*arguments)
        except WardlawError as error:
            told.append(error)
            raise

    monkeypatch.setattr(client.local_round, "pay_for_round", noted)
    return told


def test_a_site_that_has_spent_its_limit_refuses_and_says_only_a_code(federate, tmp_path, refusals):
    federation = federate()
    site = federation / "sites" / "a" / "site.toml"
    site.write_text(site.read_text() + "epsilon = 0.5\ndelta = 1e-5\n")
    with pytest.raises(RoundError) as caught:
        run_in_process(config_of(federation), tmp_path / "runs")
    assert "above its limit of 0.5" in str(refusals[0])
    assert "0.5" not in str(caught.value)


@pytest.mark.parametrize("where", ["site.toml", "the ledger"])
def test_a_site_with_a_limit_does_not_train_without_privacy(federate, tmp_path, where):
    federation = federate()
    site = federation / "sites" / "a" / "site.toml"
    config = config_of(federation, {})
    if where == "site.toml":
        site.write_text(site.read_text() + "epsilon = 8.0\ndelta = 1e-5\n")
    else:
        Ledger.open(participating_policies(config)[0].state, "a", Limit(8.0, 1e-5))
    with pytest.raises(RoundError, match="quorum"):
        run_in_process(config, tmp_path / "runs")
    with pytest.raises(PolicyError, match="private runs only"):
        require_private_run(participating_policies(config)[0], config)


@pytest.mark.parametrize("only", ["epsilon = 8.0", "delta = 1e-5"])
def test_half_a_limit_is_refused(federate, only):
    federation = federate()
    site = federation / "sites" / "a" / "site.toml"
    site.write_text(site.read_text() + only + "\n")
    with pytest.raises(PolicyError, match="one of epsilon and delta"):
        limit_of(participating_policies(config_of(federation))[0])


def test_a_lost_ledger_stops_the_site(federate, tmp_path, refusals):
    config = config_of(federate())
    run_in_process(config, tmp_path / "runs")
    for path in participating_policies(config)[0].state.glob("ledger*"):
        path.unlink()
    with pytest.raises(WardlawError):
        run_in_process(config, tmp_path / "again")
    assert refusals
    assert all(isinstance(error, LedgerError) for error in refusals)


def test_noise_of_zero_is_refused_before_any_site_is_asked(federate):
    with pytest.raises(ConfigError, match="hides nobody"):
        config_of(federate(), PRIVATE | {"privacy.noise-multiplier": 0.0})


def test_too_many_patients_a_step_are_refused(federate, tmp_path, refusals):
    with pytest.raises(WardlawError):
        run_in_process(config_of(federate(), PRIVATE | {"privacy.patients": 1000}), tmp_path / "runs")
    assert "privacy.patients = 1000, but the train split" in str(refusals[0])


def evaluation_of(config, arrays, split):
    order = ConfigRecord({protocol.SPLIT: split, protocol.SERVER_ROUND: 1})
    site = Site(participating_policies(config)[0], config)
    return evaluate(RecordDict({protocol.CONFIG: order, protocol.ARRAYS: arrays}), site)


def test_each_model_scored_is_a_release_and_train_patients_are_not_scored(federate, tmp_path):
    config = config_of(federate())
    run_in_process(config, tmp_path / "runs")
    ledger = ledger_of(participating_policies(config)[0])
    before = len(ledger.entries())
    models = [build_model(config.model_copy(update={"run": RunSection(seed=seed)}), 26) for seed in (1, 2)]
    for model in (*models, models[0]):
        evaluation_of(config, weight_record(model), "held_out")
    assert len(ledger.entries()) == before + 2
    with pytest.raises(PolicyError, match="'train' is not scored"):
        evaluation_of(config, weight_record(models[0]), "train")


@pytest.mark.parametrize("topology", ["centralised", "local"])
def test_pooled_and_local_training_are_private_too_and_resume(federate, tmp_path, topology):
    config = config_of(federate(), PRIVATE | {"run.topology": topology, "privacy.windows": 2})
    record = load_record(run_topology(config, tmp_path / "runs"))
    assert math.isfinite(record.result.loss_per_token)
    assert record.config.privacy.noise_batch_ratio == SIGMA / PATIENTS


def test_without_noise_and_clipping_it_is_the_gradient_of_the_drawn_patients_mean(federate):
    changes = {"privacy.noise-multiplier": 0.0, "privacy.clip-norm": 1e6}
    config = config_of(federate(), PRIVATE | changes | {"run.topology": "centralised"})
    shards = {p.site: client.local_round.open_site_shard(p) for p in participating_policies(config)}
    replica = training_replica(config, shards, "union")
    patients = replica.gradient.stream.draw(0)
    replica.gradient(replica.model, 0)
    found = [p.grad.clone() for p in replica.model.parameters() if p.requires_grad]
    replica.model.zero_grad()
    (sum(replica.model.loss(patient) for patient in patients) / PATIENTS).backward()
    wanted = [p.grad for p in replica.model.parameters() if p.requires_grad]
    norm = torch.cat([w.flatten() for w in wanted]).norm()
    assert all((f - w).norm() < 1e-5 * norm for f, w in zip(found, wanted, strict=True))


def test_a_coupled_objective_is_refused_before_anything_is_paid(federate):
    with pytest.raises(ConfigError, match="cannot hold"):
        config_of(federate(), PRIVATE | {"objective.name": "cpc"})


def test_what_no_epsilon_covers_stands_in_the_ledger(federate, tmp_path):
    config = config_of(federate())
    run_in_process(config, tmp_path / "runs")
    entries = ledger_of(participating_policies(config)[0]).entries()
    declared = {entry.content["name"] for entry in entries if entry.content.get("event", 0) is None}
    assert declared == {"num-examples and expected tokens", "loss and counts of held_out"}


@pytest.mark.parametrize("engine", ["auto", "batched"])
def test_a_federation_of_records_trains_privately_patient_by_patient(random_federation, tmp_path, engine):
    federation = random_federation(sites=2)
    config = from_flat(
        {
            "data.federation": str(federation),
            "data.tokenizer": load_federation(federation).tokenizer,
            "model.context": 64,
            "train.batch-tokens": 512,
            "train.tokens": 512 * STEPS,
            "train.device": "cpu",
            "federation.replicas": 2,
            "federation.quorum": 2,
            "federation.local-steps": LOCAL_STEPS,
            **PRIVATE,
            "privacy.patients": 4,
            "privacy.windows": 2,
            "privacy.engine": engine,
        }
    )
    record = load_record(run_in_process(config, tmp_path / "runs"))
    assert 0 < record.result.loss_per_token < 20
    assert sum(event.steps for event in ledger_of(participating_policies(config)[0]).events()) == STEPS


def test_a_run_whose_rounds_would_pass_the_limit_of_the_server_does_not_begin(federate, tmp_path):
    changes = {
        "strategy.name": "clipped-mean",
        "strategy.weighting": "uniform",
        "strategy.epsilon-limit": 0.5,
    }
    with pytest.raises(ConfigError, match="2 models would cost a client-level epsilon"):
        run_in_process(config_of(federate(), changes), tmp_path / "runs")


@pytest.mark.parametrize("name", ["clipped-mean", "adaptive-clip"])
def test_a_federation_that_hides_whole_sites_runs_and_keeps_its_key_out_of_the_record(
    federate, tmp_path, name
):
    changes = {
        "strategy.name": name,
        "strategy.weighting": "uniform",
        "strategy.noise-multiplier": 0.5,
        "strategy.delta": 1e-3,
    }
    folder = run_in_process(config_of(federate(), changes), tmp_path / "runs")
    assert math.isfinite(load_record(folder).result.loss_per_token)
    rounds = pl.read_parquet(folder / "rounds.parquet")
    assert rounds["releases"].to_list() == [1, 2]
    assert 0 < rounds["client_epsilon"][0] < rounds["client_epsilon"][1]
    assert rounds["noise_std"].min() > 0
    assert not list(folder.rglob("privacy.key"))
    assert list((tmp_path / "runs" / ".server-private").rglob("privacy.key"))
