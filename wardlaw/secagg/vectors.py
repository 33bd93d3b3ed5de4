"""A model's arrays as one vector, and back."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Shapes = Mapping[str, tuple[int, ...]]


def vector_size(shapes: Shapes) -> int:
    """Numbers of all arrays together."""
    return sum(math.prod(shape) for shape in shapes.values())


def difference(
    trained: Mapping[str, NDArray[np.float32]], start: Mapping[str, NDArray[np.float32]]
) -> NDArray[np.float64]:
    """``trained - start`` as one vector in the order of ``start``.

    Raises
    ------
    KeyError
        If an array of ``start`` is not in ``trained``.
    """
    parts = [
        np.subtract(trained[name], before, dtype=np.float64).reshape(-1) for name, before in start.items()
    ]
    return np.concatenate(parts)


def split(vector: NDArray[np.float64], shapes: Shapes) -> dict[str, NDArray[np.float64]]:
    """Arrays of a vector, as views, in the order of ``shapes``.

    Raises
    ------
    ValueError
        If the vector has another size.
    """
    if vector.size != vector_size(shapes):
        raise ValueError(f"a vector of {vector.size} numbers for arrays of {vector_size(shapes)}")
    arrays, start = {}, 0
    for name, shape in shapes.items():
        stop = start + math.prod(shape)
        arrays[name] = vector[start:stop].reshape(shape)
        start = stop
    return arrays
