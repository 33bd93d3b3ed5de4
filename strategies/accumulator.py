"""A weighted mean of models that takes them one at a time.

Memory is that of one model in float64 and of four replies, however many models are
added, and is kept from round to round: fresh pages cost more than the sums.
"""

import math
import threading
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from strategies.parallel import map_arrays

BLOCK = 1 << 17
"""Numbers converted to float64 at a time: 1 MiB, which stays in a core's cache."""

TOGETHER = 4
"""Models added in one pass over the sums, which are the larger part of the memory traffic."""

Model = Mapping[str, NDArray[np.float32]]

_blocks = threading.local()


class WeightedMean:
    """Running sum of w_i x_i and of w_i, in float64.

    The sums of a number are made in the order of the calls, so that the same models
    in the same order give the same bits, whatever the number of threads. While
    weights stay below 2**29 each product with a float32 is exact.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        Shape of each array of a model.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.shapes = dict(shapes)
        self.size = sum(math.prod(shape) for shape in shapes.values())
        self._sums = {name: np.zeros(shape) for name, shape in shapes.items()}
        self._waiting: list[tuple[Model, int]] = []
        self._empty = True
        self._weight = 0

    def reset(self) -> None:
        """Start a new mean in the same memory."""
        self._waiting.clear()
        self._empty = True
        self._weight = 0

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
        self._waiting.append((arrays, weight))
        self._weight += weight
        if len(self._waiting) == TOGETHER:
            self._fold()

    def mean(self) -> dict[str, NDArray[np.float64]]:
        """The mean, in the memory of the sums: ``reset`` before adding again.

        The mean of one model is that model to the last bit of its float32: both the
        product and the quotient err by less than 2**-52 of it.
        """
        self._fold()
        map_arrays(self._divide, self._sums, self.size)
        return self._sums

    def _fold(self) -> None:
        if self._waiting:
            map_arrays(self._fold_array, self._sums, self.size)
            self._waiting.clear()
            self._empty = False

    def _fold_array(self, name: str) -> None:
        total = self._sums[name].reshape(-1)
        models = [(np.ascontiguousarray(model[name]).reshape(-1), weight) for model, weight in self._waiting]
        for start in range(0, total.size, BLOCK):
            sums = total[start : start + BLOCK]
            for count, (model, weight) in enumerate(models):
                first = self._empty and count == 0
                product = sums if first else _block()[: sums.size]
                np.copyto(product, model[start : start + BLOCK])
                np.multiply(product, weight, out=product)
                if not first:
                    np.add(sums, product, out=sums)

    def _divide(self, name: str) -> None:
        np.divide(self._sums[name], self._weight, out=self._sums[name])


def all_finite(array: NDArray[np.float32]) -> bool:
    """Whether no number is infinite or not a number."""
    # A sum passes both on and needs no mask in memory; only one that overflows leaves a doubt.
    with np.errstate(over="ignore", invalid="ignore"):
        total = float(np.sum(array))
    return math.isfinite(total) or bool(np.isfinite(array).all())


def _block() -> NDArray[np.float64]:
    # One a thread, and kept: fresh pages would cost as much as the conversion.
    if not hasattr(_blocks, "numbers"):
        _blocks.numbers = np.empty(BLOCK)
    block: NDArray[np.float64] = _blocks.numbers
    return block
