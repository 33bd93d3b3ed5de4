"""Which runs share their hyper-parameters, though what was counted of them nearly repeats."""

import numpy as np
import polars as pl

from analysis.arrays import Array
from analysis.importance.design_space import Labels

# Counted FLOPs and tokens differ by less between seeds, and settings that someone chose by more.
_NEARLY = 0.01


def number_configurations(features: pl.DataFrame) -> Labels:
    """Configuration of each run (n,), from 0 in the order in which they appear.

    Runs are of one configuration if all their features are the same, numbers within 1 %: counted FLOPs
    of two seeds are never equal, and would tell a forest which other seed's metric to repeat.

    Parameters
    ----------
    features : polars.DataFrame
        A row a run; null where a feature is missing, which is a value of its own.
    """
    return number_rows(
        features.select(
            pl.Series(column.name, number_nearly_equal(column.cast(pl.Float64).fill_null(np.nan).to_numpy()))
            if column.dtype.is_numeric()
            else column
            for column in features
        )
    )


def number_nearly_equal(values: Array) -> Labels:
    """Groups (n,) of numbers of which none is more than 1 % above its group's smallest.

    The next number begins another group, so that no chain of near values can join two. Per cents are of
    the distance from 0, or from 1 where that is less: 0.99 and 0.999 are two settings of a momentum.
    NaN is a group.
    """
    distinct, place = np.unique(values, return_inverse=True)
    group = np.empty(len(distinct), dtype=np.int64)
    number, first = -1, np.nan
    for position, value in enumerate(distinct):
        if not value - first <= _NEARLY * min(abs(first), abs(1 - value)):
            number, first = number + 1, value
        group[position] = number
    return group[place]


def number_rows(rows: pl.DataFrame) -> Labels:
    """Distinct rows numbered in the order in which they appear."""
    numbered = rows.with_row_index("row number")
    first = numbered.select(pl.col("row number").first().over(rows.columns)).to_series().to_numpy()
    return np.unique(first, return_inverse=True)[1].astype(np.int64)
