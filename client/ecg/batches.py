"""Batches of ECG crops: a pure function of the step, so that a data cursor is a step number."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from client.ecg.crops import collate, slots_of
from client.ecg.shard import SignalShard
from models.ecg.batch import SignalBatch
from wardlaw.errors import ShardError
from wardlaw.seeds import generator

Integers = NDArray[np.int64]


class SignalStream:
    """Endless batches of ``budget // context`` crops from one shard or the union of several.

    A record of n samples has ceil(n / context) slots an epoch, so that long records are read in
    proportion to their length. Each epoch shuffles all slots and draws each one's crop anew, at
    any place of its record.

    Parameters
    ----------
    shards : sequence of (str, SignalShard)
        Site and shard; their order does not matter.
    budget : int
        Samples of a batch, at least ``context``.
    context : int
        Samples of a crop.
    seed : int
        The run's seed.
    name : str
        The replica's name, which names its random stream.

    Attributes
    ----------
    unique_tokens : int
        Samples of the train splits.

    Raises
    ------
    ShardError
        If there is no record.
    """

    def __init__(
        self, shards: Sequence[tuple[str, SignalShard]], budget: int, context: int, seed: int, name: str
    ) -> None:
        self.name = name
        self._shards = [shard for _, shard in sorted(shards, key=lambda pair: pair[0])]
        self._splits = [shard.split("train") for shard in self._shards]
        self._rows, self._context, self._seed = budget // context, context, seed
        self.unique_tokens = int(sum(split.samples.sum() for split in self._splits))
        if not self.unique_tokens:
            raise ShardError("the train split has no record", where=name)
        slots = [slots_of(split.samples, context) for split in self._splits]
        self._shard_of = np.repeat(np.arange(len(slots)), [len(own) for own in slots])
        self._record_of = np.concatenate(slots)
        samples = np.concatenate([split.samples for split in self._splits])
        first = np.cumsum([0, *(len(split.samples) for split in self._splits[:-1])])
        self._room = np.maximum(samples[first[self._shard_of] + self._record_of] - context, 0)
        self._drawn = lru_cache(maxsize=2)(self._draw)

    def batch(self, step: int) -> SignalBatch:
        """Batch of a step counted from 0 over the run, on the CPU."""
        places = np.arange(step * self._rows, (step + 1) * self._rows)
        slots, starts, seeds = (np.concatenate(parts) for parts in zip(*self._epochs(places), strict=True))
        crops = [
            (self._shards[self._shard_of[slot]], self._splits[self._shard_of[slot]], self._record_of[slot])
            for slot in slots
        ]
        return collate(crops, starts, seeds, self._context)

    def _epochs(self, places: Integers) -> list[tuple[Integers, Integers, Integers]]:
        """Slots, starts and seeds at some places of the endless stream, epoch by epoch."""
        epochs, within = np.divmod(places, len(self._record_of))
        return [
            tuple(drawn[within[epochs == epoch]] for drawn in self._drawn(int(epoch)))
            for epoch in np.unique(epochs)
        ]

    def _draw(self, epoch: int) -> tuple[Integers, Integers, Integers]:
        """Slots of an epoch in their order, and start and seed of each one's crop."""
        random = generator(self._seed, "crops", self.name, epoch)
        order = random.permutation(len(self._record_of))
        starts = random.integers(0, self._room + 1)
        seeds = random.integers(0, 2**62, len(order))
        return order, starts[order], seeds[order]
