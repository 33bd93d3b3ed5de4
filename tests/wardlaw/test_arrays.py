import io
from itertools import product

import numpy as np
import pytest
from flwr.app import Array

from wardlaw.arrays import array_record, array_view, record_bytes, record_views, serialised

ARRAYS = [
    np.arange(6, dtype=dtype).reshape(shape)
    for dtype, shape in product((np.float32, np.float64, np.int64), ((6,), (2, 3), (1, 6, 1)))
] + [np.array(3.0, dtype=np.float32), np.zeros((0, 4), dtype=np.float32)]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_bytes_are_those_that_numpy_saves(array):
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    assert serialised(array).data == stream.getvalue()


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_a_view_has_the_numbers_of_flowers_array_and_no_copy(array):
    flower = Array(array)
    view = array_view(flower)
    np.testing.assert_array_equal(view, flower.numpy(), strict=True)
    assert not view.flags.writeable
    if array.size:
        held = np.frombuffer(flower.data, np.uint8)
        assert np.shares_memory(view, held)


def test_fortran_order_is_understood():
    array = np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    np.testing.assert_array_equal(array_view(Array(array)), array)
    np.testing.assert_array_equal(serialised(array).numpy(), array)


def test_a_record_keeps_names_in_order():
    arrays = {"b": np.ones(2, np.float32), "a": np.zeros(3, np.float32)}
    record = array_record(arrays)
    assert list(record_views(record)) == ["b", "a"]
    assert record_bytes(record) == 2 * 128 + 5 * 4


@pytest.mark.parametrize(
    "damaged",
    [
        Array("float32", (3,), "numpy.ndarray", serialised(np.zeros(2, np.float32)).data),
        Array("float64", (2,), "numpy.ndarray", serialised(np.zeros(2, np.float32)).data),
        Array("float32", (2,), "torch", serialised(np.zeros(2, np.float32)).data),
        Array("float32", (2,), "numpy.ndarray", serialised(np.zeros(2, np.float32)).data[:-1]),
        Array("float32", (2,), "numpy.ndarray", serialised(np.zeros(2, np.float32)).data + b"\0\0\0\0"),
        Array("float32", (2,), "numpy.ndarray", b"not numpy"),
        Array("float32", (2,), "numpy.ndarray", b""),
        Array("float32", (2,), "numpy.ndarray", b"\x93NUMPY\x01\x00\xff\xff{" + b" " * 65534),
    ],
    ids=["shape", "dtype", "stype", "truncated", "longer", "garbage", "empty", "header"],
)
def test_bytes_that_are_not_what_they_claim_are_refused(damaged):
    with pytest.raises(ValueError):  # noqa: PT011 - each has its own text, NumPy's or ours
        array_view(damaged)


def test_pickled_objects_are_refused_unread():
    stream = io.BytesIO()
    np.save(stream, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="object"):
        array_view(Array("object", (1,), "numpy.ndarray", stream.getvalue()))
