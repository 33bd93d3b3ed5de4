"""Share of a training step in which the loop waits for ECG crops: ``python -m bench.ecg_loading``.

A shard of made-up noise, as many records as a large site has, is read as a run reads it: crops of 512
samples at 100 Hz, drawn from the whole split. Each line times the wait for a batch and the whole step in the
same loop, in CPU time of one thread, and prints medians over steps. The shard is in the page cache.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from client.ecg.record import LEADS, EcgRecord
from client.ecg.request import ShardSettings
from client.ecg.shard import SignalShard
from client.ecg.shard_writer import write_shard
from client.modalities import training_stream
from client.training.replica import build_replica
from client.training.stream import Stream
from client.training.trainer import train_steps
from models.model import Batch
from wardlaw.config import RunConfig, load_config
from wardlaw.seeds import generator

RATE, SECONDS, CONTEXT = 100, 10, 512
WARM_UP = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--sizes", default="330k,1m", help="rungs of the ResNet, by comma")
    parser.add_argument("--batch", type=int, default=64, help="crops a step")
    parser.add_argument("--steps", type=int, default=12, help="timed steps of each size")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "shard"
        settings = ShardSettings(rate=float(RATE))
        write_shard(folder, noise(arguments.records), settings, site="noise", source="noise", synthetic=True)
        shard = SignalShard.open(folder)
        for size in arguments.sizes.split(","):
            waits, steps = timed(config_of(size, arguments.batch), shard, arguments.steps)
            share = statistics.median(wait / step for wait, step in zip(waits, steps, strict=True))
            wait, step = (1000 * statistics.median(seconds) for seconds in (waits, steps))
            print(
                f"resnet {size:>5}, {arguments.batch} crops of {CONTEXT}: "
                f"waits {wait:6.2f} ms of {step:7.1f} ms a step, {share:.2%}"
            )


def noise(records: int) -> Iterator[EcgRecord]:
    """Records of white noise that obey Einthoven's law."""
    for number in range(records):
        digital = generator(0, "noise", number).integers(-500, 500, (RATE * SECONDS, len(LEADS)))
        one, two = 2 * digital[:, 0], 2 * digital[:, 1]
        digital[:, :6] = np.stack(
            [one, two, two - one, -(one + two) // 2, one - two // 2, two - one // 2], axis=1
        )
        yield EcgRecord(
            name=f"noise-{number}",
            patient=f"noise-{number}",
            digital=digital.astype(np.int32),
            gain=np.full(len(LEADS), 1000.0),
            baseline=np.zeros(len(LEADS)),
            rate=float(RATE),
            diagnoses=(),
        )


def config_of(size: str, batch: int) -> RunConfig:
    """Settings of a supervised run of ``batch`` crops a step."""
    tokens = batch * CONTEXT
    settings = (
        "run.topology=centralised",
        "model.family=resnet",
        f"model.size={size}",
        f"model.context={CONTEXT}",
        "objective.name=bce",
        f"train.batch-tokens={tokens}",
        f"train.tokens={10_000 * tokens}",
    )
    return load_config(None, list(settings))


class TimedStream:
    """A stream that notes how long each batch took."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.name, self.unique_tokens = stream.name, stream.unique_tokens
        self.waits: list[float] = []

    def batch(self, step: int) -> Batch:
        started = time.process_time()
        batch = self._stream.batch(step)
        self.waits.append(time.process_time() - started)
        return batch


def timed(config: RunConfig, shard: SignalShard, count: int) -> tuple[list[float], list[float]]:
    """Seconds of waiting and of the whole step, for each timed step."""
    stream = TimedStream(training_stream(config, {"noise": shard}, "union"))
    replica = build_replica(config, stream, shard.manifest.vocabulary_size)
    steps = []
    for step in range(WARM_UP + count):
        started = time.process_time()
        train_steps(replica, range(step, step + 1))
        steps.append(time.process_time() - started)
    return stream.waits[WARM_UP:], steps[WARM_UP:]


if __name__ == "__main__":
    main()
