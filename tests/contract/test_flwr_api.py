"""The part of Flower that we stand on, in the range that ``pyproject.toml`` allows.

Flower moves fast. Where one of these fails, Flower has changed what we use: mend the
place named, then widen the range.
"""

import importlib
import inspect
import tomllib
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.supercore.task_identity import TaskIdentity
from packaging.requirements import Requirement

PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"

# Module, name, and who breaks when it goes.
NAMES = [
    ("flwr.app", "Array", "wardlaw.arrays"),
    ("flwr.app", "ArrayRecord", "wardlaw.arrays"),
    ("flwr.app", "ConfigRecord", "strategies.exchange"),
    ("flwr.app", "Context", "client.site"),
    ("flwr.app", "Error", "client.sanitize"),
    ("flwr.app", "Message", "strategies.exchange"),
    ("flwr.app", "Metadata", "strategies.exchange"),
    ("flwr.app", "MetricRecord", "strategies.guarded"),
    ("flwr.app", "RecordDict", "strategies.exchange"),
    ("flwr.app.message", "make_message", "simulations.grid"),
    ("flwr.app.typing", "MetricRecordValues", "strategies.guarded"),
    ("flwr.clientapp", "ClientApp", "client.app"),
    ("flwr.common.constant", "SUPERLINK_NODE_ID", "simulations.grid"),
    ("flwr.common.constant", "ErrorCode", "client.sanitize"),
    ("flwr.serverapp", "Grid", "server.replies"),
    ("flwr.serverapp", "ServerApp", "server.app"),
    ("flwr.serverapp.strategy", "Strategy", "strategies.guarded"),
    ("flwr.supercore.inflatable.inflatable_object", "get_all_nested_objects", "simulations.grid"),
    ("flwr.supercore.inflatable.inflatable_utils", "inflate_object_from_contents", "simulations.grid"),
    ("flwr.supercore.run", "Run", "simulations.grid"),
    ("flwr.supercore.task_identity", "TaskIdentity", "simulations.grid"),
]

# Parameters that we pass or implement, by name, in order.
SIGNATURES = [
    ("flwr.serverapp", "Grid.push_messages", ["self", "messages"]),
    ("flwr.serverapp", "Grid.pull_messages", ["self", "message_ids"]),
    ("flwr.serverapp", "Grid.get_node_ids", ["self"]),
    ("flwr.serverapp", "Grid.send_and_receive", ["self", "messages", "timeout"]),
    ("flwr.serverapp", "Grid.set_run", ["self", "run"]),
    (
        "flwr.serverapp",
        "Grid.create_message",
        ["self", "content", "message_type", "dst_node_id", "group_id", "ttl"],
    ),
    (
        "flwr.serverapp.strategy",
        "Strategy.configure_train",
        ["self", "server_round", "arrays", "config", "grid"],
    ),
    ("flwr.serverapp.strategy", "Strategy.aggregate_train", ["self", "server_round", "replies"]),
    (
        "flwr.serverapp.strategy",
        "Strategy.configure_evaluate",
        ["self", "server_round", "arrays", "config", "grid"],
    ),
    ("flwr.serverapp.strategy", "Strategy.aggregate_evaluate", ["self", "server_round", "replies"]),
    ("flwr.serverapp.strategy", "Strategy.summary", ["self"]),
    ("flwr.serverapp", "ServerApp.main", ["self"]),
    ("flwr.clientapp", "ClientApp.train", ["self", "action", "mods"]),
    ("flwr.clientapp", "ClientApp.evaluate", ["self", "action", "mods"]),
    ("flwr.clientapp", "ClientApp.query", ["self", "action", "mods"]),
    ("flwr.app", "Error", ["code", "reason"]),
    ("flwr.app", "Context", ["run_id", "node_id", "node_config", "state", "run_config", "series_id"]),
]


def resolve(module, path):
    found = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found


@pytest.fixture(autouse=True)
def _identity():
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1


def test_the_installed_flower_is_one_that_we_support():
    requirements = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["dependencies"]
    allowed = next(Requirement(text) for text in requirements if Requirement(text).name == "flwr")
    installed = metadata.version("flwr")
    assert installed in allowed.specifier, (
        f"flwr {installed} is not supported: this project is written against {allowed}. "
        f"Install it with `pip install '{allowed}'`."
    )


@pytest.mark.parametrize(("module", "name", "user"), NAMES, ids=[f"{m}.{n}" for m, n, _ in NAMES])
def test_a_name_that_we_import_is_there(module, name, user):
    assert hasattr(importlib.import_module(module), name), f"{user} needs {module}.{name}"


@pytest.mark.parametrize(
    ("module", "path", "parameters"), SIGNATURES, ids=[path for _, path, _ in SIGNATURES]
)
def test_a_signature_is_the_one_that_we_call(module, path, parameters):
    found = list(inspect.signature(resolve(module, path)).parameters)
    assert found == parameters, f"{module}.{path} now takes {found}"


def test_a_strategy_has_no_abstract_method_that_we_do_not_know():
    from flwr.serverapp.strategy import Strategy

    assert Strategy.__abstractmethods__ == {
        "configure_train",
        "aggregate_train",
        "configure_evaluate",
        "aggregate_evaluate",
        "summary",
    }


def test_an_array_is_the_bytes_of_a_npy_file():
    array = Array(np.arange(3, dtype=np.float32))
    assert (array.dtype, array.shape, array.stype) == ("float32", (3,), "numpy.ndarray")
    assert array.data.startswith(b"\x93NUMPY\x01\x00")
    same = Array("float32", (3,), "numpy.ndarray", array.data)
    np.testing.assert_array_equal(same.numpy(), [0, 1, 2])


def test_records_of_a_message_are_shared_and_not_copied():
    """The global model is hashed and sent once because all messages hold one record."""
    record = ArrayRecord({"a": Array(np.zeros(2))})
    messages = [Message(RecordDict({"arrays": record}), node, "train") for node in (1, 2)]
    assert messages[0].content["arrays"] is messages[1].content["arrays"]


def test_metadata_is_what_replies_are_known_by():
    message = Message(RecordDict(), 7, "query.describe", ttl=5.0, group_id="3")
    # Every Grid of Flower's writes the message's id into the metadata that the sender holds.
    message.metadata.__dict__["_message_id"] = "question"
    reply = Message(Error(2, "SHD"), reply_to=message)
    assert message.metadata.message_id == "question"
    assert reply.metadata.reply_to_message_id == "question"
    assert reply.metadata.src_node_id == message.metadata.dst_node_id == 7
    assert (reply.has_error(), reply.has_content(), reply.error.code) == (True, False, 2)
    assert (message.metadata.group_id, message.metadata.ttl) == ("3", 5.0)


@pytest.mark.parametrize(
    ("module", "name"),
    [("flwr.superlink.grid.http_grid", "HttpGrid"), ("flwr.superlink.grid.inmemory_grid", "InMemoryGrid")],
)
def test_flowers_grids_write_the_message_id_into_the_senders_metadata(module, name):
    source = inspect.getsource(resolve(module, f"{name}.push_messages"))
    assert 'msg.metadata.__dict__["_message_id"]' in source, (
        f"strategies.exchange knows {name}'s replies by it"
    )


@pytest.mark.parametrize("value", [True, "text", None, np.float32(1)])
def test_metrics_are_plain_numbers(value):
    with pytest.raises(TypeError):
        MetricRecord({"a": value})


def test_settings_may_be_bytes_text_numbers_and_truth():
    record = ConfigRecord({"a": b"bytes", "b": "text", "c": 1, "d": 1.5, "e": True})
    assert [type(value) for value in record.values()] == [bytes, str, int, float, bool]


def test_the_apps_are_plain_assignments():
    """Flower looks for ``app`` in the source, without running it."""
    for module in ("server", "client"):
        source = (PYPROJECT.parent / module / "app.py").read_text(encoding="utf-8")
        assert f"\napp = {module.capitalize()}App()\n" in source
