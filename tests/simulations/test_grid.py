"""The in-process Grid against what Flower's own runtimes do."""

import gc
import weakref

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import FedAvg

from simulations.grid import InProcessGrid, WireGrid

GRIDS = [InProcessGrid, WireGrid]


def make_app(train) -> ClientApp:
    app = ClientApp()
    app.train()(train)
    return app


def add_one(message: Message, context: Context) -> Message:
    arrays = [
        array.numpy() + 1 + context.node_config["partition-id"]
        for array in message.content["arrays"].values()
    ]
    metrics = MetricRecord({"num-examples": 1, "seen": context.run_config["a.b"]})
    return Message(RecordDict({"arrays": ArrayRecord(arrays), "metrics": metrics}), reply_to=message)


def messages(content: RecordDict, partitions: int) -> list[Message]:
    return [Message(content, node, "train") for node in range(partitions)]


@pytest.mark.parametrize("kind", GRIDS)
def test_a_stock_strategy_of_flower_runs_unchanged(kind):
    grid = kind(make_app(add_one), 3, {"a.b": 5})
    result = FedAvg(fraction_evaluate=0.0).start(
        grid=grid, initial_arrays=ArrayRecord([np.zeros(4, np.float32)]), num_rounds=2
    )
    # Each round adds the mean of 1, 2 and 3.
    np.testing.assert_allclose(next(iter(result.arrays.values())).numpy(), np.full(4, 4.0))


@pytest.mark.parametrize("kind", GRIDS)
def test_replies_come_in_the_order_asked_for_and_from_the_node_addressed(kind):
    grid = kind(make_app(add_one), 3, {"a.b": 5})
    ids = grid.push_messages(messages(RecordDict({"arrays": ArrayRecord([np.zeros(1)])}), 3))
    replies = list(grid.pull_messages(reversed(ids)))
    assert [reply.metadata.src_node_id for reply in replies] == [2, 1, 0]
    assert [reply.metadata.reply_to_message_id for reply in replies] == ids[::-1]
    assert list(grid.pull_messages(ids)) == []


@pytest.mark.parametrize("kind", GRIDS)
def test_an_exception_becomes_an_error_reply(kind):
    def fail(message: Message, context: Context) -> Message:
        raise KeyError("boom")

    (reply,) = kind(make_app(fail), 1, {}).send_and_receive(messages(RecordDict(), 1))
    assert reply.has_error()
    assert "KeyError" in reply.error.reason


def test_a_message_runs_when_its_reply_is_pulled_and_nothing_is_kept():
    ran = []

    def note(message: Message, context: Context) -> Message:
        ran.append(context.node_config["partition-id"])
        return add_one(message, context)

    grid = InProcessGrid(make_app(note), 50, {"a.b": 0})
    ids = grid.push_messages(messages(RecordDict({"arrays": ArrayRecord([np.zeros(10)])}), 50))
    assert ran == []
    alive = []
    for reply in grid.pull_messages(ids):
        alive.append(weakref.ref(reply))
        del reply
        gc.collect()
        assert sum(ref() is not None for ref in alive) <= 1
    assert ran == list(range(50))


def test_a_client_cannot_change_the_servers_arrays_or_another_clients_message():
    def vandalise(message: Message, context: Context) -> Message:
        content = message.content
        content["config"]["rate"] = -1.0
        content["config"]["sizes"].append(99)
        array = content["arrays"]["0"]
        values = array.numpy()
        values[:] = np.nan
        array.data = b""
        content["arrays"]["extra"] = ArrayRecord([np.zeros(1)])["0"]
        del content["metrics"]
        return Message(RecordDict(), reply_to=message)

    content = RecordDict(
        {
            "arrays": ArrayRecord([np.arange(3.0)]),
            "config": ConfigRecord({"rate": 0.5, "sizes": [1, 2]}),
            "metrics": MetricRecord({"a": 1}),
        }
    )
    pushed = messages(content, 2)
    replies = list(InProcessGrid(make_app(vandalise), 2, {}).send_and_receive(pushed))
    # The second client would fail on the first one's deletions.
    assert not any(reply.has_error() for reply in replies)
    assert dict(content["config"]) == {"rate": 0.5, "sizes": [1, 2]}
    assert list(content["arrays"]) == ["0"]
    np.testing.assert_array_equal(content["arrays"]["0"].numpy(), np.arange(3.0))
    assert "metrics" in content
    assert pushed[0].content is content


def test_a_reply_does_not_share_its_records_with_the_client():
    kept = RecordDict({"config": ConfigRecord({"n": 1})})

    def keep(message: Message, context: Context) -> Message:
        return Message(kept, reply_to=message)

    (reply,) = InProcessGrid(make_app(keep), 1, {}).send_and_receive(messages(RecordDict(), 1))
    kept["config"]["n"] = 2
    assert reply.content["config"]["n"] == 1


def test_nothing_is_copied_in_process_and_all_is_serialised_on_the_wire():
    arrived = []

    def look(message: Message, context: Context) -> Message:
        arrived.append(message.content["arrays"]["0"].data)
        return Message(RecordDict(), reply_to=message)

    content = RecordDict({"arrays": ArrayRecord([np.arange(1000.0)])})
    for kind in GRIDS:
        list(kind(make_app(look), 1, {}).send_and_receive(messages(content, 1)))
    sent = content["arrays"]["0"].data
    assert arrived[0] is sent
    assert arrived[1] is not sent
    assert arrived[1] == sent
