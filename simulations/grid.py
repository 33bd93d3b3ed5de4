"""Flower's Grid without Flower's engine: a message runs the ClientApp in this process.

A round of a small model then costs its training and little else: there is no
Ray start-up, no polling and no serialisation. The ServerApp's and the ClientApp's
code is the one that a deployment runs.
"""

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from itertools import count

from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.app.message import make_message
from flwr.clientapp import ClientApp
from flwr.common.constant import SUPERLINK_NODE_ID, ErrorCode
from flwr.serverapp import Grid
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

RUN_ID = 1


class InProcessGrid(Grid):
    """A Grid whose nodes are the partitions 0, 1, ... of a federation.

    A message waits until its reply is pulled and is answered at that moment, so that
    a server which pulls one reply at a time holds one reply at a time, however
    many sites there are.

    Parameters
    ----------
    app : ClientApp
    partitions : int
        Number of nodes.
    run_config : mapping
        Flower's flat settings, the same at every node.
    """

    def __init__(self, app: ClientApp, partitions: int, run_config: Mapping[str, bool | int | float | str]):
        # Flower's Message reads the sender from this process-wide identity.
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, RUN_ID, SUPERLINK_NODE_ID
        self._app = app
        self._contexts = [
            Context(
                run_id=RUN_ID,
                node_id=partition,
                node_config={"partition-id": partition, "num-partitions": partitions},
                state=RecordDict(),
                run_config=dict(run_config),
            )
            for partition in range(partitions)
        ]
        self._waiting: dict[str, Message] = {}
        self._names = count(1)
        self._run = Run.create_empty(RUN_ID)

    def carry(self, message: Message) -> Message:
        """A message as its receiver has it: its own records over the same bytes.

        Flower's arrays hold immutable ``bytes``, so that a receiver can replace
        its own entries and never the sender's numbers.
        """
        if message.has_error():
            return message
        return make_message(metadata=message.metadata, content=_own_records(message.content))

    def set_run(self, run: Run) -> None:
        """Set the run."""
        self._run = run

    @property
    def run(self) -> Run:
        """Run of this Grid."""
        return self._run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Make a message."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """Partitions' numbers."""
        return range(len(self._contexts))

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Keep messages until their replies are pulled."""
        return [self._keep(message) for message in messages]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterator[Message]:
        """Answer messages one by one as the caller takes the replies."""
        for message_id in message_ids:
            if message_id in self._waiting:
                yield self._answer(self._waiting.pop(message_id))

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterator[Message]:
        """Push messages and answer them one by one; nothing is ever late."""
        return self.pull_messages(self.push_messages(messages))

    def _keep(self, message: Message) -> str:
        message_id = str(next(self._names))
        message.metadata.__dict__["_message_id"] = message_id
        self._waiting[message_id] = message
        return message_id

    def _answer(self, message: Message) -> Message:
        context = self._contexts[message.metadata.dst_node_id]
        try:
            reply = self._app(self.carry(message), context)
        except Exception as error:
            # What Flower's own runtimes make of an exception.
            reason = f"{type(error)}:<'{error}'>"
            reply = Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason), reply_to=message)
        reply.metadata.__dict__["_message_id"] = str(next(self._names))
        return self.carry(reply)


class WireGrid(InProcessGrid):
    """The same, with each message serialised and read back as on the wire.

    Slower and of no use but to tests, which it lets see what serialisation changes.
    """

    def carry(self, message: Message) -> Message:
        """A message after its way through Flower's objects of bytes."""
        message_id = message.metadata.message_id
        nested = get_all_nested_objects(message)
        arrived = inflate_object_from_contents(
            message.object_id, {name: part.deflate() for name, part in nested.items()}
        )
        assert isinstance(arrived, Message)
        arrived.metadata.__dict__["_message_id"] = message_id
        return arrived


def _own_records(content: RecordDict) -> RecordDict:
    return RecordDict({name: _own_record(record) for name, record in content.items()})


def _own_record(
    record: ArrayRecord | MetricRecord | ConfigRecord,
) -> ArrayRecord | MetricRecord | ConfigRecord:
    if isinstance(record, ArrayRecord):
        return ArrayRecord(
            {name: Array(array.dtype, array.shape, array.stype, array.data) for name, array in record.items()}
        )
    return deepcopy(record)
