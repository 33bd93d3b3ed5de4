"""Strings kept as numbers into a list, and what Parquet needs of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray


@dataclass(frozen=True)
class Labels:
    """A string of each visit.

    Attributes
    ----------
    names : list of str
        The strings that occur, sorted.
    numbers : (visits,) int32
        Place of each visit's string in ``names``.
    """

    names: list[str]
    numbers: NDArray[np.int32]

    @classmethod
    def of(cls, column: pl.Series) -> "Labels":
        """Labels of a string column by visit; null reads ``unknown``."""
        names, numbers = np.unique(column.fill_null("unknown").to_numpy().astype(str), return_inverse=True)
        return cls([str(name) for name in names], numbers.astype(np.int32))


def dictionary(numbers: NDArray[np.integer], names: Sequence[str]) -> pa.DictionaryArray:
    """Dictionary array of only the names that occur, so that a file tells of no others."""
    present = np.flatnonzero(np.bincount(numbers, minlength=len(names)))
    place = np.zeros(len(names), dtype=np.int32)
    place[present] = np.arange(len(present), dtype=np.int32)
    occurring = pa.array([names[int(number)] for number in present], pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(place[numbers]), occurring)
