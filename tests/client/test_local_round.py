"""A round at a site against the trainer itself, in any order and after any crash."""

import shutil

import numpy as np
import pytest
import torch
from flwr.app import ArrayRecord, ConfigRecord, RecordDict

from client.ehr.batches import BatchStream
from client.handlers import evaluate
from client.local_round import train_round
from client.site import Site, open_site_shard
from client.site_state import read_step_rows, run_state_folder
from client.training.replica import build_replica
from client.training.state import saved_steps
from client.training.trainer import train_steps
from models.registry import build_model
from models.weights import load_weights, weight_record
from simulations.federation_folder import participating_policies
from wardlaw import protocol
from wardlaw.arrays import record_views
from wardlaw.config import RunConfig
from wardlaw.errors import CheckpointError, ConfigError, PolicyError

STEPS = 3


@pytest.fixture
def site(random_federation) -> Site:
    return site_in(random_federation(sites=1))


def site_in(folder, **train) -> Site:
    config = RunConfig.model_validate(
        {
            "data": {"federation": str(folder)},
            "model": {"size": "xs", "context": 16},
            "train": {"tokens": 64 * 12, "batch-tokens": 64, "warmup-fraction": 0.2, **train},
            "federation": {"replicas": 1, "local-steps": STEPS},
        }
    )
    return Site(participating_policies(config)[0], config)


def replica_of(site: Site):
    shard = open_site_shard(site.policy)
    config, size = site.config, shard.manifest.vocabulary_size
    splits = [(site.name, shard.split("train"))]
    stream = BatchStream(
        splits, config.replica_batch_tokens, config.model.context, "fused", config.run.seed, site.name
    )
    return build_replica(config, stream, size)


def first_model(site: Site) -> ArrayRecord:
    size = open_site_shard(site.policy).manifest.vocabulary_size
    return weight_record(build_model(site.config, size))


def ask(site: Site, arrays: ArrayRecord, server_round: int, **order) -> RecordDict:
    record = ConfigRecord({protocol.SERVER_ROUND: server_round, protocol.OLDEST_ROUND: 1, **order})
    return train_round(RecordDict({protocol.ARRAYS: arrays, protocol.CONFIG: record}), site)


def run(site: Site, rounds: range, arrays: ArrayRecord) -> ArrayRecord:
    for number in rounds:
        arrays = ask(site, arrays, number).array_records[protocol.ARRAYS]
    return arrays


def assert_same_bits(one: ArrayRecord, other: ArrayRecord) -> None:
    assert list(one) == list(other)
    for name in one:
        assert one[name].data == other[name].data, name


def test_rounds_of_one_site_are_one_training_without_a_break(site):
    straight = replica_of(site)
    rows = train_steps(straight, range(4 * STEPS))
    assert_same_bits(run(site, range(1, 5), first_model(site)), weight_record(straight.model))
    assert [{**row, "round": None} for row in read_step_rows(site.policy, site.config)] == [
        {**row, "round": None} for row in rows
    ]
    rounds = [row["round"] for row in read_step_rows(site.policy, site.config)]
    assert rounds == [1] * 3 + [2] * 3 + [3] * 3 + [4] * 3


def test_a_round_starts_from_the_global_model_and_the_sites_own_moments(site):
    weights = replica_of(site).model.state_dict()
    other = {name: torch.full_like(weight, 0.01) for name, weight in weights.items()}
    models = [first_model(site), ArrayRecord(other)]
    reply = [ask(site, model, number) for number, model in enumerate(models, 1)][-1]

    replica = replica_of(site)
    train_steps(replica, range(STEPS))
    replica.model.load_state_dict(other)
    train_steps(replica, range(STEPS, 2 * STEPS))
    assert_same_bits(reply.array_records[protocol.ARRAYS], weight_record(replica.model))


def test_reset_forgets_the_moments(random_federation):
    site = site_in(random_federation(sites=1), **{"inner-state": "reset"})
    first = ask(site, first_model(site), 1).array_records[protocol.ARRAYS]
    second = ask(site, first, 2).array_records[protocol.ARRAYS]
    replica = replica_of(site)
    load_weights(replica.model, first)
    train_steps(replica, range(STEPS, 2 * STEPS))
    assert_same_bits(second, weight_record(replica.model))
    assert not (run_state_folder(site.policy, site.config) / "inner").exists()


def test_a_round_asked_for_again_gives_the_same_bits_whatever_came_after(site):
    models = [first_model(site)]
    for number in range(1, 5):
        models.append(ask(site, models[-1], number).array_records[protocol.ARRAYS])
    for number in (4, 2, 3, 1):
        again = ask(site, models[number - 1], number).array_records[protocol.ARRAYS]
        assert_same_bits(again, models[number])
        if number == 2:
            # Round 3 and later belong to a future that was given up.
            assert saved_steps(run_state_folder(site.policy, site.config) / "inner")[-1] == 2 * STEPS
            assert_same_bits(ask(site, models[2], 3).array_records[protocol.ARRAYS], models[3])


def test_a_site_that_was_not_asked_goes_on_from_its_last_round(site):
    model = first_model(site)
    first = ask(site, model, 1).array_records[protocol.ARRAYS]
    third = ask(site, first, 3).array_records[protocol.ARRAYS]
    replica = replica_of(site)
    train_steps(replica, range(STEPS))
    train_steps(replica, range(2 * STEPS, 3 * STEPS))
    assert_same_bits(third, weight_record(replica.model))


@pytest.mark.parametrize("oldest", [1, 2, 3, 4])
def test_every_round_that_the_server_may_repeat_can_still_be_started(site, oldest):
    models = [first_model(site)]
    for number in range(1, 5):
        reply = ask(site, models[-1], number, **{protocol.OLDEST_ROUND: min(oldest, number)})
        models.append(reply.array_records[protocol.ARRAYS])
    states = saved_steps(run_state_folder(site.policy, site.config) / "inner")
    # State before step s starts the round whose first step is s; before round 1 there is none.
    assert states == [STEPS * number for number in range(max(oldest - 1, 1), 5)]
    again = ask(site, models[oldest - 1], oldest).array_records[protocol.ARRAYS]
    assert_same_bits(again, models[oldest])


def test_proximal_mu_pulls_as_in_the_trainer(site):
    reply = ask(site, first_model(site), 1, **{protocol.PROXIMAL_MU: 0.3})
    replica = replica_of(site)
    anchor = {name: weight.clone() for name, weight in replica.model.state_dict().items()}
    train_steps(replica, range(STEPS), anchor, 0.3)
    assert_same_bits(reply.array_records[protocol.ARRAYS], weight_record(replica.model))
    zero = ask(site, first_model(site), 1, **{protocol.PROXIMAL_MU: 0.0})
    assert_same_bits(
        zero.array_records[protocol.ARRAYS],
        ask(site, first_model(site), 1).array_records[protocol.ARRAYS],
    )


def test_metrics_are_those_of_the_steps_with_counts_rounded(site):
    policy = site.policy.model_copy(update={"count_rounding": 100})
    metrics = ask(Site(policy, site.config), first_model(site), 1).metric_records[protocol.METRICS]
    rows = read_step_rows(site.policy, site.config)
    tokens = np.array([row["tokens"] for row in rows])
    losses = np.array([row["loss"] for row in rows])
    assert metrics[protocol.TRAIN_LOSS] == pytest.approx(np.average(losses, weights=tokens))
    exact = replica_of(site).stream.unique_tokens
    assert metrics[protocol.NUM_EXAMPLES] % 100 == 0
    assert abs(metrics[protocol.NUM_EXAMPLES] - exact) <= 50
    assert metrics[protocol.TRAIN_TOKENS] == 200
    assert tokens.sum() <= STEPS * 64


def test_arrays_travel_as_float32_in_the_models_order(site):
    views = record_views(ask(site, first_model(site), 1).array_records[protocol.ARRAYS])
    state = replica_of(site).model.state_dict()
    assert [(name, view.shape) for name, view in views.items()] == [
        (name, tuple(weight.shape)) for name, weight in state.items()
    ]
    assert {str(view.dtype) for view in views.values()} == {"float32"}


def test_a_model_of_another_vocabulary_is_refused(site):
    other = weight_record(build_model(site.config, 99))
    with pytest.raises(ConfigError, match="vocabulary"):
        ask(site, other, 1)


def test_a_damaged_state_is_refused_and_not_passed_over(site):
    models = [first_model(site)]
    for number in range(1, 3):
        models.append(ask(site, models[-1], number).array_records[protocol.ARRAYS])
    (newest,) = run_state_folder(site.policy, site.config).glob(f"inner/*{2 * STEPS:08d}.safetensors")
    content = bytearray(newest.read_bytes())
    content[-1] ^= 1
    newest.write_bytes(content)
    with pytest.raises(CheckpointError):
        ask(site, models[2], 3)


def test_a_site_that_lost_its_state_trains_as_new(site):
    first = ask(site, first_model(site), 1).array_records[protocol.ARRAYS]
    shutil.rmtree(site.policy.state)
    second = ask(site, first, 2).array_records[protocol.ARRAYS]
    replica = replica_of(site)
    load_weights(replica.model, first)
    train_steps(replica, range(STEPS, 2 * STEPS))
    assert_same_bits(second, weight_record(replica.model))


@pytest.mark.parametrize(
    "limit", [{"allow_training": False}, {"minimum_patients": 41}, {"maximum_parameters": 10}]
)
def test_the_sites_policy_stops_training_before_anything_is_written(site, limit):
    strict = Site(site.policy.model_copy(update=limit), site.config)
    with pytest.raises(PolicyError):
        ask(strict, first_model(site), 1)
    assert not site.policy.state.exists()


def test_evaluation_sums_the_loss_of_the_split_asked_for(site):
    arrays = first_model(site)
    sums = {}
    for split in ("tuning", "held_out"):
        order = ConfigRecord({protocol.SERVER_ROUND: 1, protocol.SPLIT: split})
        content = RecordDict({protocol.ARRAYS: arrays, protocol.CONFIG: order})
        policy = site.policy.model_copy(update={"count_rounding": 1})
        sums[split] = evaluate(content, Site(policy, site.config)).metric_records[protocol.METRICS]
        lengths = open_site_shard(site.policy).split(split).lengths
        assert sums[split][protocol.TOKENS] == sum(lengths - 1)
        assert sums[split][protocol.PATIENTS] == len(lengths)
        # An untrained model is near a uniform guess.
        per_token = sums[split][protocol.NATS] / sums[split][protocol.TOKENS]
        assert per_token == pytest.approx(np.log(len(open_site_shard(site.policy).vocabulary())), rel=0.1)
    assert sums["tuning"][protocol.NATS] != sums["held_out"][protocol.NATS]


def test_evaluation_is_refused_by_policy(site):
    strict = Site(site.policy.model_copy(update={"allow_evaluation": False}), site.config)
    with pytest.raises(PolicyError):
        evaluate(RecordDict(), strict)
