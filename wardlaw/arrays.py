"""Flower's serialised arrays as NumPy arrays over the same bytes, without a copy.

Flower carries an array as the bytes of a ``.npy`` file. Reading one with
``Array.numpy`` copies it; a view is enough for whoever only reads the numbers.
"""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord
from numpy.typing import NDArray

STYPE = "numpy.ndarray"


def array_view(array: Array) -> NDArray[Any]:
    """Numbers of a Flower array, read-only and without a copy.

    Parameters
    ----------
    array : Array
        Its declared type and shape must be those of its bytes, to the last one;
        objects are refused, so that nothing is ever unpickled.

    Raises
    ------
    ValueError
        If the bytes are not such a ``.npy`` file.
    """
    if array.stype != STYPE:
        raise ValueError(f"serialised as '{array.stype}', not as '{STYPE}'")
    stream = io.BytesIO(array.data)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("not version 1.0 of the .npy format")
    shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.hasobject or (str(dtype), shape) != (array.dtype, tuple(array.shape)):
        raise ValueError(f"bytes of {dtype} {shape} declared as {array.dtype} {tuple(array.shape)}")
    numbers = np.frombuffer(memoryview(array.data)[stream.tell() :], dtype)
    return numbers.reshape(shape, order="F" if fortran_order else "C")


def serialised(numbers: NDArray[Any]) -> Array:
    """Flower array of a NumPy array: the bytes that ``numpy.save`` writes, in one copy."""
    numbers = np.asarray(numbers, order="C")
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, np.lib.format.header_data_from_array_1_0(numbers))
    data = b"".join((stream.getvalue(), numbers.reshape(-1).view(np.uint8).data))
    return Array(str(numbers.dtype), numbers.shape, STYPE, data)


def array_record(arrays: Mapping[str, NDArray[Any]]) -> ArrayRecord:
    """Flower record of named NumPy arrays, in their order."""
    return ArrayRecord({name: serialised(numbers) for name, numbers in arrays.items()})


def record_views(record: ArrayRecord) -> dict[str, NDArray[Any]]:
    """Views of all arrays of a record, by name."""
    return {name: array_view(array) for name, array in record.items()}


def record_bytes(record: ArrayRecord) -> int:
    """Bytes of a record's arrays on the wire."""
    return sum(len(array.data) for array in record.values())
