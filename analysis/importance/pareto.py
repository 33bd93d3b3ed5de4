"""The Pareto front of a metric against its cost."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from analysis.arrays import Array
from analysis.importance.design_space import DesignSpace
from wardlaw.errors import RecordError


def on_front(cost: Array, metric: Array, *, maximise: bool = False) -> NDArray[np.bool_]:
    """Which runs no other run dominates.

    A run dominates another if it costs no more and its metric is no worse, and one of the two is
    better. Runs that tie in both are on the front together.

    Parameters
    ----------
    cost : ndarray (n,)
        Less is better.
    metric : ndarray (n,)
        Less is better, unless ``maximise``.

    Examples
    --------
    >>> on_front(np.array([1.0, 2.0, 2.0, 3.0]), np.array([5.0, 4.0, 4.5, 4.0]))
    array([ True,  True, False, False])
    """
    value = -metric if maximise else metric
    costs, place = np.unique(cost, return_inverse=True)
    best = np.full(len(costs), np.inf)
    np.minimum.at(best, place, value)
    cheaper = np.concatenate([[np.inf], np.minimum.accumulate(best)[:-1]])
    front: NDArray[np.bool_] = (value == best[place]) & (value < cheaper[place])
    return front


def pareto_table(space: DesignSpace, flops: str, *, maximise: bool) -> pl.DataFrame:
    """Runs by cost: ``run``, ``group``, ``cost``, ``metric``, ``on_front``.

    Runs whose cost is not a positive number are left out.

    Raises
    ------
    RecordError
        If there is no such column of numbers, or no positive one in it.
    """
    cost = space.table.column(flops, "--flops")
    runs = space.labelled.with_columns(cost=cost, metric=pl.Series(space.metric)).filter(
        pl.col("cost").is_finite() & (pl.col("cost") > 0)
    )
    if runs.is_empty():
        raise RecordError(f"no run has a positive {flops}", where="--flops", remedy="Name another column")
    front = on_front(runs["cost"].to_numpy(), runs["metric"].to_numpy(), maximise=maximise)
    return runs.with_columns(on_front=pl.Series(front)).sort(
        "cost", "metric", "run", descending=[False, maximise, False]
    )
