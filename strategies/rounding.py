"""A float64 array as the float32 array that travels."""

import threading

import numpy as np
from flwr.app import Array
from numpy.typing import NDArray

from strategies.accumulator import all_finite
from wardlaw.arrays import serialised

_kept = threading.local()


def rounded_array(numbers: NDArray[np.float64]) -> Array | None:
    """Round to float32 and serialise; nothing if a number is not finite then.

    Rounding goes through memory that each thread keeps: fresh pages would cost more than
    the rounding.
    """
    rounded = _room(numbers.size)
    # What overflows here is found in the next line.
    with np.errstate(over="ignore", invalid="ignore"):
        np.copyto(rounded, numbers.reshape(-1), casting="same_kind")
    return serialised(rounded.reshape(numbers.shape)) if all_finite(rounded) else None


def _room(size: int) -> NDArray[np.float32]:
    if getattr(_kept, "numbers", np.empty(0)).size < size:
        _kept.numbers = np.empty(size, np.float32)
    room: NDArray[np.float32] = _kept.numbers[:size]
    return room
