"""Batches of a replica: a pure function of the step, so that a data cursor is a step number."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch

from client.ehr.packing import (
    Integers,
    Windows,
    cut_windows,
    draw_windows,
    plan_pool,
    pooled_epochs,
)
from client.ehr.positions import window_positions
from client.ehr.shard import TokenSplit
from models.ehr.packed import IGNORED, PackedBatch
from wardlaw.errors import ShardError
from wardlaw.seeds import generator
from wardlaw.vocabulary import Scheme


class BatchStream:
    """Endless batches of ``budget`` tokens from one shard or the union of several.

    Windows are packed into bins, and a batch is the next few bins of an endless stream of
    shuffled pools of bins: bins of about two contexts are small enough to mix patients of all lengths in
    a batch, and large enough to be filled. A pool holds every window once an epoch.

    Parameters
    ----------
    splits : sequence of (str, TokenSplit)
        Site and train split of each shard; their order does not matter.
    budget : int
        Tokens T of a batch, padding included.
    context : int
        Longest window.
    scheme : {"ethos", "fused"}
        Tokeniser's scheme, which says what a position is.
    seed : int
        The run's seed.
    name : str
        The replica's name, which names its random stream.

    Attributes
    ----------
    unique_tokens : int
        Targets of one epoch.
    fill : float
        Share of the tokens in batches that are not padding.

    Raises
    ------
    ShardError
        If no patient has two tokens.
    """

    def __init__(
        self,
        splits: Sequence[tuple[str, TokenSplit]],
        budget: int,
        context: int,
        scheme: Scheme,
        seed: int,
        name: str,
    ) -> None:
        self.name = name
        self._splits = [split for _, split in sorted(splits, key=lambda pair: pair[0])]
        self._budget, self._scheme, self._seed = budget, scheme, seed
        self._windows = cut_windows(self._splits, context)
        self.unique_tokens = int(self._windows.length.sum())
        if not self.unique_tokens:
            raise ShardError("no patient of the train split has two tokens", where=name)
        self._bins_a_batch = max(1, budget // (2 * context))
        capacity = budget // self._bins_a_batch
        epochs = pooled_epochs(self._windows.length, capacity)
        self._pool = plan_pool(self._windows.length, capacity, epochs)
        self.fill = self._pool.epochs * self.unique_tokens * self._bins_a_batch / (self._pool.bins * budget)
        # A batch touches two pools at most, unless the shard is tiny.
        self._drawn = lru_cache(maxsize=2)(self._draw)

    def batch(self, step: int) -> PackedBatch:
        """Batch of a step counted from 0 over the run: T tokens on the CPU."""
        first = step * self._bins_a_batch
        members = np.concatenate([self._bin(place) for place in range(first, first + self._bins_a_batch)])
        # Equal lengths side by side are attended to in one call.
        decreasing = members[np.argsort(-self._windows.length[members], kind="stable")]
        return collate(self._splits, self._windows, decreasing, self._budget, self._scheme)

    def _bin(self, place: int) -> Integers:
        """Windows of the bin at a place of the endless stream."""
        number, within = divmod(place, self._pool.bins)
        order, windows = self._drawn(number)
        here = order[within]
        return windows[self._pool.slots[self._pool.starts[here] : self._pool.starts[here + 1]]]

    def _draw(self, number: int) -> tuple[Integers, Integers]:
        """Order of the bins of a pool, and window of each of its slots."""
        random = generator(self._seed, "batches", self.name, number)
        return random.permutation(self._pool.bins), draw_windows(
            self._windows.length, self._pool.epochs, random
        )


def collate(
    splits: Sequence[TokenSplit], windows: Windows, members: Integers, budget: int, scheme: Scheme
) -> PackedBatch:
    """Lay windows end to end in the order given, and pad them to ``budget`` tokens."""
    tokens = np.zeros(budget, np.int64)
    targets = np.full(budget, IGNORED, np.int64)
    positions = np.zeros(budget, np.float32)
    segments = []
    end = 0
    for member in members:
        split, first, length = splits[windows.split[member]], windows.first[member], windows.length[member]
        start, end = end, end + int(length)
        tokens[start:end] = split.tokens[first : first + length]
        targets[start:end] = split.tokens[first + 1 : first + length + 1]
        positions[start:end] = window_positions(scheme, split.minutes[first : first + length])
        segments.append(end - start)
    # As one segment, much padding would take most of the attention's time.
    longest = max(segments, default=budget)
    segments += [min(longest, budget - start) for start in range(end, budget, longest)]
    return PackedBatch(
        torch.from_numpy(tokens), torch.from_numpy(targets), torch.from_numpy(positions), tuple(segments)
    )
