"""A weighted mean of models that takes them one at a time.

Memory is that of one model in float64 and of two replies, however many models are
added, and is kept from round to round: fresh pages cost more than the sums.
"""

import math
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK = 1 << 17
"""Numbers converted to float64 at a time: 1 MiB, which stays in a core's cache."""

TOGETHER = 2
"""Models added in one pass over the sums, which are the larger part of the memory traffic."""

Model = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class _Share:
    """One thread's part of the model: flat slices of named arrays, and its own block."""

    pieces: list[tuple[str, slice]]
    block: NDArray[np.float64]


class WeightedMean:
    """Running sum of w_i x_i and of w_i, in float64.

    The sums of a number are made in the order of the calls, so that the same models
    in the same order give the same bits, whatever the number of threads. While
    weights stay below 2**29 each product with a float32 is exact.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        Shape of each array of a model.
    threads : int, optional
        Threads of a pass; by default as many as there are processors, at most 4,
        by when memory and not arithmetic is the limit.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], threads: int | None = None) -> None:
        self.shapes = dict(shapes)
        self._sums = {name: np.zeros(shape) for name, shape in shapes.items()}
        self._flat = {name: total.reshape(-1) for name, total in self._sums.items()}
        self._shares = _shares(self._flat, threads or min(4, os.cpu_count() or 1))
        self._waiting: list[tuple[Model, int]] = []
        self._empty = True
        self.weight = 0

    def reset(self) -> None:
        """Start a new mean in the same memory."""
        self._waiting.clear()
        self._empty = True
        self.weight = 0

    def add(self, arrays: Model, weight: int) -> None:
        """Add one model.

        Parameters
        ----------
        arrays : mapping of str to array, float32
            A model of the given names and shapes; only read, and not to be changed
            until the model after it is added or the mean is taken.
        weight : int
            At least 1.
        """
        flat = {name: np.ascontiguousarray(arrays[name]).reshape(-1) for name in self._flat}
        self._waiting.append((flat, weight))
        self.weight += weight
        if len(self._waiting) == TOGETHER:
            self._fold()

    def mean(self) -> dict[str, NDArray[np.float64]]:
        """The mean, in the memory of the sums: ``reset`` before adding again.

        The mean of one model is that model to the last bit of its float32: both the
        product and the quotient err by less than 2**-52 of it.
        """
        self._fold()
        _in_threads(self._divide, self._shares)
        return self._sums

    def _fold(self) -> None:
        if self._waiting:
            _in_threads(self._add_share, self._shares)
            self._waiting.clear()
            self._empty = False

    def _add_share(self, share: _Share) -> None:
        for name, piece in share.pieces:
            sums, block = self._flat[name][piece], share.block[: piece.stop - piece.start]
            for count, (model, weight) in enumerate(self._waiting):
                if self._empty and count == 0:
                    np.copyto(sums, model[name][piece])
                    np.multiply(sums, weight, out=sums)
                else:
                    np.copyto(block, model[name][piece])
                    np.multiply(block, weight, out=block)
                    np.add(sums, block, out=sums)

    def _divide(self, share: _Share) -> None:
        for name, piece in share.pieces:
            sums = self._flat[name][piece]
            np.divide(sums, self.weight, out=sums)


def all_finite(array: NDArray[np.float32]) -> bool:
    """Whether no number is infinite or not a number."""
    # A sum passes both on and needs no mask in memory; only one that overflows leaves a doubt.
    with np.errstate(over="ignore", invalid="ignore"):
        total = float(np.sum(array))
    return math.isfinite(total) or bool(np.isfinite(array).all())


def _shares(flat: Mapping[str, NDArray[np.float64]], threads: int) -> list[_Share]:
    pieces = [
        (name, slice(start, min(start + BLOCK, total.size)))
        for name, total in flat.items()
        for start in range(0, total.size, BLOCK)
    ]
    size, part = sum(total.size for total in flat.values()), 0
    parts: list[list[tuple[str, slice]]] = [[] for _ in range(max(1, min(threads, size // BLOCK)))]
    done = 0
    for name, piece in pieces:
        part = done * len(parts) // size
        parts[part].append((name, piece))
        done += piece.stop - piece.start
    return [_Share(part, np.empty(min(BLOCK, size))) for part in parts]


def _in_threads(work: Callable[[_Share], None], shares: Iterable[_Share]) -> None:
    shares = list(shares)
    if len(shares) == 1:
        work(shares[0])
        return
    with ThreadPoolExecutor(len(shares)) as pool:
        list(pool.map(work, shares))
