"""One bad reply costs its own site's contribution and nothing else."""

import itertools
import weakref

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MetricRecord
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.fedavg import FedAvg
from strategies.fedavgm import FedAvgM
from strategies.guarded import Guard
from strategies.registry import build_strategy
from tests.strategies.replies import FINGERPRINT, ask, play_round, reply_content
from wardlaw import protocol
from wardlaw.config.strategy import StrategySection
from wardlaw.errors import CheckpointError

GUARD = Guard(FINGERPRINT, quorum=2)
SITES = ("ash", "birch", "cedar")
MODEL = {"a": np.zeros((2, 2), np.float32), "b": np.ones(3, np.float32)}


def model_of(value):
    return {name: np.full_like(array, value) for name, array in MODEL.items()}


def aggregate(strategy, contents, *, server_round=1):
    """Result for replies by site, where a reply is records, an error, or nothing."""
    messages = ask(strategy, MODEL, contents, server_round=server_round)
    answers = [
        Message(content, reply_to=message)
        for message, content in zip(messages, contents.values(), strict=True)
        if content is not None
    ]
    record, metrics = strategy.aggregate_train(server_round, answers)
    return (None if record is None else {name: array.numpy() for name, array in record.items()}), metrics


def good(site, value, **options):
    return reply_content(site, model_of(value), **options)


BAD = {
    "nan": lambda: reply_content("birch", model_of(np.nan)),
    "inf": lambda: reply_content("birch", model_of(np.inf)),
    "broadcastable": lambda: reply_content("birch", MODEL | {"b": np.ones(1, np.float32)}),
    "shape": lambda: reply_content("birch", MODEL | {"b": np.ones(5, np.float32)}),
    "extra": lambda: reply_content("birch", MODEL | {"c": np.ones(1, np.float32)}),
    "missing": lambda: reply_content("birch", {"a": MODEL["a"]}),
    "float64": lambda: reply_content("birch", MODEL | {"b": np.full(3, 1e300)}),
    "no examples": lambda: good("birch", 9, examples=0),
    "too many examples": lambda: good("birch", 9, examples=10**12),
    "stale": lambda: good("birch", 9, server_round=0),
    "other run": lambda: good("birch", 9, fingerprint="e" * 64),
    "other site": lambda: good("cedar", 9),
    "error": lambda: Error(2, "patient 10004235 died"),
    "silent": lambda: None,
}


@pytest.mark.parametrize("fault", BAD)
@pytest.mark.parametrize("order", list(itertools.permutations(range(3)))[::2])
def test_a_bad_reply_is_left_out_by_name_wherever_it_comes(fault, order, caplog):
    contents = {"ash": good("ash", 1), "birch": BAD[fault](), "cedar": good("cedar", 2, examples=30)}
    strategy = FedAvg(GUARD)
    names = [SITES[index] for index in order]
    found, metrics = aggregate(strategy, {name: contents[name] for name in names})
    for array in found.values():
        np.testing.assert_array_equal(array, np.full_like(array, np.float32(1.75)))
    assert list(strategy.report.rejected) == ["birch"]
    assert set(strategy.report.examples) == {"ash", "cedar"}
    assert "birch" in caplog.text
    assert "patient" not in caplog.text
    assert metrics[protocol.TRAIN_TOKENS] == 200


def test_the_codes_of_our_own_errors_are_logged(caplog):
    aggregate(FedAvg(GUARD), {"ash": Error(2, "POL"), "birch": good("birch", 1), "cedar": good("cedar", 1)})
    assert "ash: the site refuses: POL" in caplog.text


def test_what_flower_says_for_a_lost_site_is_known_by_the_message_it_answers():
    strategy = FedAvg(GUARD)
    messages = ask(strategy, MODEL, SITES)
    lost = Message(Error(5, "Node Unavailable"), reply_to=messages[1])
    lost.metadata.__dict__["_src_node_id"] = 1  # the SuperLink's own number
    answers = [
        Message(good("ash", 1), reply_to=messages[0]),
        lost,
        Message(good("cedar", 1), reply_to=messages[2]),
    ]
    strategy.aggregate_train(1, answers)
    assert strategy.report.rejected == {"birch": "failed"}


def test_a_second_reply_of_a_site_and_a_strangers_do_not_count():
    strategy = FedAvg(Guard(FINGERPRINT))
    messages = ask(strategy, MODEL, ("ash", "birch"))
    stranger = ask(FedAvg(GUARD), MODEL, ("yew",), server_round=7)[0]
    answers = [
        Message(good("ash", 1), reply_to=messages[0]),
        Message(good("ash", 5), reply_to=messages[0]),
        Message(good("yew", 5), reply_to=stranger),
        Message(good("birch", 3), reply_to=messages[1]),
    ]
    record, _ = strategy.aggregate_train(1, answers)
    np.testing.assert_array_equal(record["a"].numpy(), np.full((2, 2), 2, np.float32))
    assert set(strategy.report.rejected.values()) == {"duplicate", "malformed"}


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_next_model_does_not_depend_on_what_was_rejected(seed):
    generator = np.random.default_rng(seed)
    replies = {
        site: {
            name: generator.standard_normal(array.shape).astype(np.float32) for name, array in MODEL.items()
        }
        for site in SITES
    }
    with_all = {site: reply_content(site, arrays) for site, arrays in replies.items()}
    with_all["birch"] = reply_content("birch", model_of(np.nan))
    without = {site: content for site, content in with_all.items() if site != "birch"}
    found, _ = aggregate(FedAvg(GUARD), with_all)
    expected, _ = aggregate(FedAvg(GUARD), without)
    assert all(found[name].tobytes() == expected[name].tobytes() for name in MODEL)


def test_below_the_quorum_nothing_changes():
    strategy = FedAvgM(GUARD, server_learning_rate=1.0, server_momentum=0.9)
    aggregate(strategy, {site: good(site, 1) for site in SITES})
    before = {name: array.copy() for name, array in strategy.state_arrays().items()}
    found = aggregate(
        strategy, {"ash": good("ash", 2, server_round=2), "birch": None, "cedar": None}, server_round=2
    )
    assert found == (None, None)
    assert "quorum" in strategy.report.failure
    after = strategy.state_arrays()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_no_reply_at_all_is_a_failed_round():
    strategy = FedAvg(Guard(FINGERPRINT))
    assert aggregate(strategy, dict.fromkeys(SITES)) == (None, None)
    assert strategy.report.rejected == dict.fromkeys(SITES, "missing")


def test_a_server_step_that_overflows_is_a_failed_round_and_leaves_no_trace():
    strategy = FedAvgM(Guard(FINGERPRINT), server_learning_rate=1e9, server_momentum=0.9)
    huge = {name: np.full_like(array, 3e38) for name, array in MODEL.items()}
    assert aggregate(strategy, {"ash": reply_content("ash", huge)}) == (None, None)
    assert "finite" in strategy.report.failure
    assert strategy.state_arrays() == {}


def test_weights_are_the_tokens_or_one():
    replies = {"ash": (model_of(0.0), 100), "birch": (model_of(1.0), 300)}
    by_tokens = play_round(FedAvg(Guard(FINGERPRINT, weighting="tokens")), MODEL, replies)
    uniform = play_round(FedAvg(Guard(FINGERPRINT, weighting="uniform")), MODEL, replies)
    assert (by_tokens["a"][0, 0], uniform["a"][0, 0]) == (0.75, 0.5)


@given(st.integers(1, 1 << 38), st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_one_site_is_its_own_average_to_the_bit(examples, seed):
    generator = np.random.default_rng(seed)
    arrays = {
        name: generator.standard_normal(array.shape).astype(np.float32) for name, array in MODEL.items()
    }
    found = play_round(FedAvg(Guard(FINGERPRINT)), MODEL, {"ash": (arrays, examples)})
    assert all(found[name].tobytes() == arrays[name].tobytes() for name in MODEL)


def test_replies_are_pulled_one_by_one_and_let_go():
    strategy = FedAvg(Guard(FINGERPRINT))
    sites = [f"site-{index}" for index in range(8)]
    messages, alive = ask(strategy, MODEL, sites), []

    def replies():
        for message, site in zip(messages, sites, strict=True):
            # One that waits to be added with the next, and one that is being let go.
            assert sum(reference() is not None for reference in alive) <= 2
            content = good(site, 1)
            alive.append(weakref.ref(content[protocol.ARRAYS]))
            yield Message(content, reply_to=message)
            del content

    record, _ = strategy.aggregate_train(1, replies())
    assert len(alive) == 8
    assert record is not None


def test_bytes_are_those_of_the_arrays():
    strategy = FedAvg(GUARD)
    aggregate(strategy, {"ash": good("ash", 1), "birch": good("birch", 1), "cedar": None})
    one_way = (128 + 16) + (128 + 12)
    assert (strategy.report.bytes_down, strategy.report.bytes_up) == (3 * one_way, 2 * one_way)


def test_names_keep_their_order():
    model = {"z": np.zeros(2, np.float32), "a": np.ones(2, np.float32)}
    assert list(play_round(FedAvg(Guard(FINGERPRINT)), model, {"ash": (model, 1)})) == ["z", "a"]


def test_scalar_and_empty_arrays_are_averaged():
    model = {"scalar": np.array(1.0, np.float32), "empty": np.zeros((0, 2), np.float32)}
    for strategy in (
        FedAvg(Guard(FINGERPRINT)),
        FedAvgM(Guard(FINGERPRINT), server_learning_rate=1.0, server_momentum=0.5),
    ):
        found = play_round(strategy, model, {"ash": (model, 1)})
        assert {name: array.shape for name, array in found.items()} == {"scalar": (), "empty": (0, 2)}


def evaluate(strategy, sums):
    ask(strategy, MODEL, sums)
    record = ArrayRecord({name: Array(array) for name, array in MODEL.items()})
    messages = strategy.configure_evaluate(1, record, ConfigRecord({protocol.SPLIT: "tuning"}), None)
    answers = []
    for number, (message, (site, metrics)) in enumerate(zip(messages, sums.items(), strict=True)):
        message.metadata.__dict__["_message_id"] = str(number)
        content = reply_content(site, {})
        content[protocol.METRICS] = MetricRecord(metrics)
        answers.append(Message(content, reply_to=message))
    assert {message.metadata.message_type for message in messages} == {protocol.EVALUATE}
    assert {message.content[protocol.CONFIG][protocol.SPLIT] for message in messages} == {"tuning"}
    return strategy.aggregate_evaluate(1, answers)


def test_scores_are_pooled_by_their_sums():
    strategy = FedAvg(GUARD)
    pooled = evaluate(
        strategy,
        {
            "ash": {"nats": 10.0, "tokens": 5, "events": 2, "patients": 1},
            "birch": {"nats": 30.0, "tokens": 15, "events": 4, "patients": 3},
            "cedar": {"nats": float("nan"), "tokens": 15, "events": 4, "patients": 3},
        },
    )
    assert dict(pooled) == {"nats": 40.0, "tokens": 20, "events": 6, "patients": 4}
    assert [score.site for score in strategy.scores] == ["ash", "birch"]
    assert strategy.unscored == {"cedar": "metric"}


def test_nobodys_tokens_have_no_pooled_score():
    assert evaluate(FedAvg(GUARD), {"ash": {"nats": 0.0, "tokens": 0, "events": 0, "patients": 0}}) is None


def test_replies_without_their_messages_are_a_programming_error():
    with pytest.raises(ValueError, match="configure"):
        FedAvg(GUARD).aggregate_train(3, [])


def test_another_strategys_state_is_refused():
    strategy = FedAvgM(GUARD, server_learning_rate=1.0, server_momentum=0.9)
    with pytest.raises(CheckpointError):
        strategy.load_state({"first_moment/a": np.zeros((2, 2))})


@pytest.mark.parametrize("name", ["fedavg", "fedprox", "fedavgm", "fedadam", "fednesterov"])
def test_the_registry_builds_each_strategy(name):
    strategy = build_strategy(StrategySection(name=name), fingerprint="f", quorum=3, reply_within_s=9.0)
    assert type(strategy).__name__.lower() == name
    assert strategy.guard == Guard("f", "tokens", 3, 9.0)
