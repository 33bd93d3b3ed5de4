"""ECG through the whole spine: federated rounds to the bit, averages, totals, and what is refused."""

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.numpy import load_file
from typer.testing import CliRunner

import client.local_round
from client.app import app as client_app
from client.ecg.shard import SignalShard
from client.modalities import evaluate_shard, training_stream
from client.site import open_site_shard
from client.training.replica import build_replica
from client.training.trainer import train_steps
from models.checkpoint import load_model
from models.counts import flops_per_token, parameters
from models.registry import build_model
from server.federation import run_federation
from simulations.cli import app
from simulations.ecg.prepare import prepare_ecg_federation
from simulations.federation_folder import load_federation, participating_policies
from simulations.grid import WireGrid
from simulations.in_process import run_in_process
from simulations.runner import expected_flops
from simulations.topologies import run_topology
from tests.noise_ecg import noise_shard
from wardlaw.config import from_flat, to_flat
from wardlaw.errors import ShardError
from wardlaw.records import load_record

CONTEXT, ROWS, STEPS, LOCAL_STEPS = 256, 4, 4, 2
SITES = "abc"


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    # Sites of different sizes weigh differently.
    for number, site in enumerate(SITES):
        noise_shard(folder / site, site, patients=16 + 8 * number)
    return folder


def federation_of(shards, folder, name="federation"):
    prepare_ecg_federation([shards / site for site in SITES], folder / name, drop_shared=False)
    return folder / name


@pytest.fixture
def federate(shards, tmp_path):
    """Makes a federation folder over the same shards, whose state nobody shares."""
    return lambda name="federation": federation_of(shards, tmp_path, name)


def config_of(federation, objective="bce", family="resnet", **changes):
    settings = {
        "data.federation": str(federation),
        "data.tokenizer": load_federation(federation).tokenizer,
        "model.family": family,
        "model.size": "20k",
        "model.context": CONTEXT,
        "objective.name": objective,
        "train.batch-tokens": CONTEXT * ROWS * 3,
        "train.tokens": CONTEXT * ROWS * 3 * STEPS,
        "train.device": "cpu",
        "federation.replicas": 3,
        "federation.quorum": 3,
        "federation.local-steps": LOCAL_STEPS,
    }
    return from_flat(settings | {key.replace("__", ".").replace("_", "-"): v for key, v in changes.items()})


def final_weights(folder, server_round=STEPS // LOCAL_STEPS):
    assert (folder / "result.json").exists()
    return (folder / "checkpoints" / f"round-{server_round:06d}.safetensors").read_bytes()


# Rounds.


@pytest.mark.parametrize(("family", "objective"), [("resnet", "bce"), ("transformer", "dinosr")])
def test_serialisation_changes_nothing(federate, tmp_path, family, objective):
    one, other = (config_of(federate(name), objective, family) for name in ("one", "other"))
    assert one.fingerprint == other.fingerprint
    plain = run_in_process(one, tmp_path / "plain")
    wired = run_federation(WireGrid(client_app, len(SITES), to_flat(other)), other, tmp_path / "wired")
    assert final_weights(wired) == final_weights(plain)


@pytest.mark.parametrize("objective", ["bce", "dinosr", "jepa", "hubert"])
def test_a_round_ends_in_the_mean_of_the_sites_states(federate, shards, tmp_path, objective):
    config = config_of(federate(), objective, train__tokens=CONTEXT * ROWS * 3 * LOCAL_STEPS)
    found = load_file(run_in_process(config, tmp_path / "runs") / "checkpoints" / "round-000001.safetensors")
    start = build_model(config, 26).state_dict()
    states, weights = [], []
    for site in SITES:
        shard = SignalShard.open(shards / site)
        replica = build_replica(config, training_stream(config, {site: shard}, site), 26)
        train_steps(replica, range(LOCAL_STEPS))
        states.append({name: value.double().numpy() for name, value in replica.model.state_dict().items()})
        weights.append(shard.manifest.tokens("train"))
    assert len(set(weights)) == 3
    assert {name.removeprefix("model/") for name in found} == states[0].keys()
    moved = set()
    for name, first in start.items():
        mean = np.average([state[name] for state in states], axis=0, weights=weights)
        np.testing.assert_allclose(found[f"model/{name}"], mean, rtol=1e-6, atol=1e-9)
        if not np.array_equal(found[f"model/{name}"], first.numpy()):
            moved.add(name.split(".")[1] if name.startswith("objective.") else "backbone")
    kept = {"bce": set(), "dinosr": {"teacher", "codebooks"}, "jepa": {"teacher"}, "hubert": {"codebook"}}
    assert {"backbone"} | kept[objective] < moved


def test_the_mean_teacher_is_the_moving_average_of_the_mean_student(federate, shards, tmp_path):
    """Over a real round, whose students' paths the sites retrace here."""
    config = config_of(federate(), "jepa", train__tokens=CONTEXT * ROWS * 3 * LOCAL_STEPS)
    found = load_file(run_in_process(config, tmp_path / "runs") / "checkpoints" / "round-000001.safetensors")
    prefix = "objective.teacher.backbone."
    teacher = {k: v.double().numpy() for k, v in build_model(config, 26).state_dict().items() if prefix in k}
    opened = {site: SignalShard.open(shards / site) for site in SITES}
    weights = [shard.manifest.tokens("train") for shard in opened.values()]
    replicas = [
        build_replica(config, training_stream(config, {site: shard}, site), 26)
        for site, shard in opened.items()
    ]
    for step in range(LOCAL_STEPS):
        for replica in replicas:
            train_steps(replica, range(step, step + 1))
        for name in teacher:
            student = name.replace(prefix, "backbone.")
            students = [replica.model.state_dict()[student].double().numpy() for replica in replicas]
            teacher[name] += (1 - config.objective.teacher_decay) * (
                np.average(students, axis=0, weights=weights) - teacher[name]
            )
    for name, value in teacher.items():
        np.testing.assert_allclose(found[f"model/{name}"], value, rtol=1e-4, atol=1e-6)


@pytest.fixture(scope="module")
def straight(shards, tmp_path_factory):
    """Records of dinosr's runs that nothing stopped, each computed once."""
    done = {}

    def compute(**changes):
        key = tuple(sorted(changes.items()))
        if key not in done:
            folder = tmp_path_factory.mktemp("straight")
            done[key] = run_in_process(config_of(federation_of(shards, folder), "dinosr", **changes), folder)
        return done[key]

    return compute


KEPT = {"train__inner_state": "keep", "train__optimiser": "adamw"}
RESET = {"train__inner_state": "reset", "train__optimiser": "adamw"}
RESET_MOMENTUM = {"train__inner_state": "reset", "train__optimiser": "sgd-momentum"}


@pytest.mark.parametrize("changes", [KEPT, RESET_MOMENTUM])
def test_a_stopped_federation_ends_in_the_same_bits(federate, straight, tmp_path, monkeypatch, changes):
    config = config_of(federate(), "dinosr", **changes)
    train = client.local_round.train_steps

    def stop(replica, steps, *rest):
        if replica.name == "b" and steps.start == LOCAL_STEPS:
            raise KeyboardInterrupt
        return train(replica, steps, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(client.local_round, "train_steps", stop)
        with pytest.raises(KeyboardInterrupt):
            run_in_process(config, tmp_path / "stopped")
    again = run_in_process(config, tmp_path / "stopped")
    assert final_weights(again) == final_weights(straight(**changes))
    assert load_record(again).table("steps").equals(load_record(straight(**changes)).table("steps"))
    states = list((participating_policies(config)[0].state / "runs").glob("*/a/inner/*.safetensors"))
    assert bool(states) == (changes["train__inner_state"] == "keep")


def test_kept_moments_change_what_is_learnt(straight):
    assert final_weights(straight(**KEPT)) != final_weights(straight(**RESET))


def test_fedprox_takes_a_teacher_along(straight):
    pulled = straight(**KEPT, strategy__name="fedprox", strategy__proximal_mu=0.5)
    assert final_weights(pulled) != final_weights(straight(**KEPT))


# Totals.


@pytest.mark.parametrize("topology", ["centralised", "local", "federated"])
def test_totals_are_those_of_the_steps_and_the_model(federate, tmp_path, topology):
    config = config_of(federate(), run__topology=topology)
    record = load_record(run_topology(config, tmp_path / "runs"))
    steps = record.table("steps").to_pylist()
    result, counted = record.result, parameters(config, 26)
    assert sorted({row["step"] for row in steps}) == list(range(STEPS))
    assert result.tokens == sum(row["tokens"] for row in steps) <= config.train.tokens
    # A step is three passes over the records' own samples.
    assert result.flops == pytest.approx(3 * flops_per_token(config, 26) * result.tokens, rel=1e-9)
    assert expected_flops(config) == flops_per_token(config, 26) * config.train.tokens
    models = {path.name: load_model(path) for path in (record.folder / "models").iterdir()}
    model = next(iter(models.values()))
    assert (result.parameters, result.non_embedding_parameters) == (counted.total, counted.blocks)
    assert sum(p.numel() for p in model.parameters()) == counted.total
    assert sum(p.numel() for p in model.backbone.parameters()) == counted.blocks
    assert result.synthetic
    rows = record.table("evaluation").to_pylist()
    assert {row["site"] for row in rows} == set(SITES)
    # The loss is that of the saved models on every site's held-out records.
    for row in rows:
        policy = next(policy for policy in participating_policies(config) if policy.site == row["site"])
        sums = evaluate_shard(models[row["replica"]], open_site_shard(policy), "held_out", config)
        assert row["nats"] == pytest.approx(sums.nats, rel=1e-9)
        assert (row["tokens"], row["events"]) == (sums.tokens, sums.events)


# What is refused, in one line and at once.


@pytest.mark.parametrize("topology", ["centralised", "local", "federated"])
def test_a_model_refuses_the_other_kind_of_shard(federate, random_federation, tmp_path, topology):
    ehr = random_federation(sites=3)
    ecg_run = config_of(ehr, run__topology=topology)
    with pytest.raises(ShardError, match=r"it holds ehr, and model\.family = 'resnet' reads ecg") as caught:
        run_topology(ecg_run, tmp_path)
    assert "\n" not in str(caught.value)
    decoder_run = from_flat(
        {
            "data.federation": str(federate()),
            "run.topology": topology,
            "model.size": "xs",
            "model.context": 32,
            "train.batch-tokens": 384,
            "federation.replicas": 3,
        }
    )
    with pytest.raises(ShardError, match=r"it holds ecg, and model\.family = 'decoder' reads ehr") as caught:
        run_topology(decoder_run, tmp_path)
    assert "`wardlaw models list`" in str(caught.value)


@pytest.mark.parametrize("topology", ["centralised", "federated"])
def test_a_shard_of_another_rate_is_refused_with_the_remedy(federate, tmp_path, topology):
    slow = noise_shard(tmp_path / "slow", "slow", rate=50.0)
    prepare_ecg_federation([slow.folder], tmp_path / "other", drop_shared=False)
    changes = {"federation__replicas": 1, "federation__quorum": 1, "run__topology": topology}
    config = config_of(tmp_path / "other", data__tokenizer=load_federation(federate()).tokenizer, **changes)
    with pytest.raises(ShardError, match="--rate") as caught:
        run_topology(config, tmp_path / "runs")
    assert not any(word in str(caught.value) for word in ("MEDS", "vocabulary", "token"))


# Commands.


def command(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture
def record(federate, tmp_path):
    return load_record(
        run_topology(
            config_of(federate(), run__topology="centralised", data__sites="a,b", run__name="central"),
            tmp_path / "runs",
        )
    )


def test_run_refuses_an_unknown_site(federate, tmp_path):
    (tmp_path / "run.toml").write_text(
        'model.family = "resnet"\nmodel.size = "20k"\nobjective.name = "bce"\n'
    )
    done = command("run", tmp_path / "run.toml", "--federation", federate(), "--sites", "a,zz")
    assert "no site called zz" in str(done.exception)
    assert "Choose from a, b, c" in str(done.exception)


def test_transfer_scores_all_records_of_other_sites(record, tmp_path):
    away = noise_shard(tmp_path / "away", "away")
    prepare_ecg_federation([away.folder], tmp_path / "outside", drop_shared=False)
    done = command("transfer", record.folder.parent, "--outside", tmp_path / "outside")
    assert done.exit_code == 0, done.output
    model = load_model(record.folder / "models" / "union")
    torch.set_num_threads(1)
    sums = [evaluate_shard(model, away, split, record.config) for split in away.manifest.splits]
    loss = sum(one.nats for one in sums) / sum(one.tokens for one in sums)
    assert f"union on away: {loss:.4f} nats a target, 24 patients" in done.output
    table = pl.read_parquet(record.folder / "transfer.parquet")
    assert table["events"].sum() == 24


def test_transfer_refuses_shards_of_another_rate(record, tmp_path):
    away = noise_shard(tmp_path / "away", "away", rate=50.0)
    prepare_ecg_federation([away.folder], tmp_path / "outside", drop_shared=False)
    done = command("transfer", record.folder.parent, "--outside", tmp_path / "outside")
    assert isinstance(done.exception, ShardError)
    assert "--rate" in str(done.exception)


def test_transfer_refuses_the_other_kind_of_shard(record, random_federation):
    done = command("transfer", record.folder.parent, "--outside", random_federation(sites=1))
    assert isinstance(done.exception, ShardError)
    assert "it holds ehr" in str(done.exception)


def test_shards_lists_patients_and_samples(federate, shards):
    done = command("shards", federate())
    assert done.exit_code == 0, done.output
    lines = [line.split(",") for line in done.output.split()]
    assert lines[0] == ["site", "patients", "tokens"]
    for site, patients, samples in lines[1:]:
        manifest = SignalShard.open(shards / site).manifest
        assert (int(patients), int(samples)) == (manifest.patients("train"), manifest.tokens("train"))


def test_downstream_says_what_scores_ecg_runs(record):
    done = command("downstream", record.folder.parent)
    assert "Score ECG runs with `wardlaw simulate ecg-scores`" in str(done.exception)
