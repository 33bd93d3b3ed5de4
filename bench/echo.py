"""A Flower app that is all machinery: a model goes to every site and comes back changed.

The same module runs in ``bench.rounds`` and, as the only file of a bundle, in Flower's engine.
"""

import time
from pathlib import Path

import numpy as np
from flwr.app import ArrayRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

TENSORS = 10

server = ServerApp()
client = ClientApp()


@client.train()
def echo(message: Message, context: Context) -> Message:
    """Send the model back, changed, so that nothing is taken for a copy."""
    arrays = [array.numpy() + 1 for array in message.content.array_records["arrays"].values()]
    return Message(RecordDict({"arrays": ArrayRecord(arrays)}), reply_to=message)


def one_round(grid: Grid, parameters: int) -> float:
    """Seconds from a model in the server to all sites' models in the server."""
    random = np.random.default_rng(time.perf_counter_ns())
    model = [random.random(parameters // TENSORS, dtype=np.float32) for _ in range(TENSORS)]
    started = time.perf_counter()
    content = RecordDict({"arrays": ArrayRecord(model)})
    messages = [Message(content, node, "train") for node in grid.get_node_ids()]
    answered = 0
    for reply in grid.send_and_receive(messages):
        received = reply.content.array_records["arrays"]
        for sent, array in zip(model, received.values(), strict=True):
            assert array.numpy()[0] == sent[0] + 1
        answered += 1
    assert answered == len(messages)
    return time.perf_counter() - started


@server.main()
def take_turns(grid: Grid, context: Context) -> None:
    """Do a round whenever the folder has a new file ``turn-N`` with a number of parameters."""
    folder = Path(str(context.run_config["folder"]))
    for turn in range(int(context.run_config["turns"])):
        order = folder / f"turn-{turn}"
        while not order.exists():
            time.sleep(0.01)
        seconds = one_round(grid, int(order.read_text(encoding="ascii")))
        answer = folder / f"seconds-{turn}"
        answer.with_suffix(".tmp").write_text(repr(seconds), encoding="ascii")
        answer.with_suffix(".tmp").rename(answer)
