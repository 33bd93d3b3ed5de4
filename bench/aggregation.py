"""The server's part of a round against Flower's own aggregation.

    python -m bench.aggregation [--sites 8] [--size 50m] [--vocabulary 2048] [--turns 7]

Three things take turns in one run of this script, on the same replies: Flower's
``aggregate_arrayrecords`` (float32 sums), our weighted mean (float64 sums) to the same
kind of record, and a whole ``aggregate_train`` of ours, which also screens every reply.
Printed are medians of wall and processor time and of the ratios within a turn, and, each
in a process of its own, the peak of memory when replies are made as they are asked for:
Flower's function needs them all at once.
"""

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy.strategy_utils import aggregate_arrayrecords
from flwr.supercore.task_identity import TaskIdentity

from models.ehr.decoder import Decoder
from models.ehr.ladder import rung
from strategies.accumulator import WeightedMean
from strategies.exchange import Participant
from strategies.fedavg import FedAvg
from strategies.guarded import Guard
from strategies.parallel import map_arrays
from strategies.rounding import rounded_array
from wardlaw import protocol
from wardlaw.arrays import array_record, record_views

FINGERPRINT = "bench"
Shapes = dict[str, tuple[int, ...]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sites", type=int, default=8)
    parser.add_argument("--size", default="50m")
    parser.add_argument("--vocabulary", type=int, default=2048)
    parser.add_argument("--turns", type=int, default=7)
    options = parser.parse_args()
    with torch.device("meta"):
        model = Decoder(rung(options.size), options.vocabulary)
    shapes = {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
    numbers = sum(weight.numel() for weight in model.state_dict().values())
    print(f"{options.sites} replies of {numbers:,} float32 numbers in {len(shapes)} arrays")
    compare_times(shapes, options.sites, options.turns)
    for name in ("flower", "ours"):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            peak = pool.apply(peak_memory, (name, shapes, options.sites))
        print(f"{name:<8} peak memory {peak / (4 * numbers):5.1f} models ({peak / 2**20:,.0f} MiB)")


def compare_times(shapes: Shapes, sites: int, turns: int) -> None:
    set_identity()
    contents = [reply(shapes, site) for site in range(sites)]
    contestants: dict[str, Callable[[], object]] = {
        "flower": lambda: aggregate_arrayrecords(contents, protocol.NUM_EXAMPLES),
        "mean": mean_of(contents, shapes),
        "round": round_of(contents, shapes),
    }
    wall: dict[str, list[float]] = {name: [] for name in contestants}
    processor: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(turns + 1):
        for name, run in contestants.items():
            started, spent = time.perf_counter(), time.process_time()
            run()
            wall[name].append(time.perf_counter() - started)
            processor[name].append(time.process_time() - spent)
    for name in contestants:
        # The first turn makes the memory that later ones use again.
        faster = [flower / own for flower, own in zip(wall["flower"][1:], wall[name][1:], strict=True)]
        print(
            f"{name:<8} wall {statistics.median(wall[name][1:]):6.3f} s   "
            f"processor {statistics.median(processor[name][1:]):6.3f} s   "
            f"{statistics.median(faster):5.2f} x Flower"
        )


def mean_of(contents: list[RecordDict], shapes: Shapes) -> Callable[[], ArrayRecord]:
    mean = WeightedMean(shapes)

    def run() -> ArrayRecord:
        mean.reset()
        for content in contents:
            mean.add(record_views(content[protocol.ARRAYS]), content[protocol.METRICS][protocol.NUM_EXAMPLES])
        averages = mean.mean()
        arrays = map_arrays(lambda name: rounded_array(averages[name]), averages, mean.size)
        return ArrayRecord(dict(zip(averages, arrays, strict=True)))

    return run


def round_of(contents: list[RecordDict], shapes: Shapes) -> Callable[[], object]:
    strategy = FedAvg(Guard(FINGERPRINT))
    messages = asked(strategy, shapes, len(contents))
    replies = [
        Message(content, reply_to=message) for content, message in zip(contents, messages, strict=True)
    ]
    return lambda: strategy.aggregate_train(1, replies)


def asked(strategy: FedAvg, shapes: Shapes, sites: int) -> list[Message]:
    strategy.cohort = tuple(Participant(f"site-{site}", site) for site in range(sites))
    messages = strategy.configure_train(1, reply(shapes, 0)[protocol.ARRAYS], ConfigRecord(), None)
    for number, message in enumerate(messages):
        message.metadata.__dict__["_message_id"] = str(number)
    return messages


def reply(shapes: Shapes, site: int) -> RecordDict:
    generator = np.random.default_rng(site)
    arrays = {name: generator.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}
    metrics = {
        protocol.NUM_EXAMPLES: 100_000 + site,
        protocol.TRAIN_LOSS: 2.0,
        protocol.TRAIN_TOKENS: 1000,
        protocol.TRAIN_FLOPS: 1e6,
        protocol.TRAIN_SECONDS: 1.0,
    }
    origin = {
        protocol.SITE: f"site-{site}",
        protocol.FINGERPRINT: FINGERPRINT,
        protocol.SERVER_ROUND: 1,
    }
    return RecordDict(
        {
            protocol.ARRAYS: array_record(arrays),
            protocol.METRICS: MetricRecord(metrics),
            protocol.ORIGIN: ConfigRecord(origin),
        }
    )


def peak_memory(name: str, shapes: Shapes, sites: int) -> int:
    """Bytes above what the process held before, at the most, for one round of ``name``."""
    set_identity()
    strategy = FedAvg(Guard(FINGERPRINT))
    messages = asked(strategy, shapes, sites)

    def replies() -> Iterator[Message]:
        for site, message in enumerate(messages):
            yield Message(reply(shapes, site), reply_to=message)

    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    if name == "flower":
        aggregate_arrayrecords([reply.content for reply in replies()], protocol.NUM_EXAMPLES)
    else:
        strategy.aggregate_train(1, replies())
    return resident("VmHWM") - before


def resident(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(key)).split()[1])


def set_identity() -> None:
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1


if __name__ == "__main__":
    main()
