"""Runs of one compute budget each, as arrays with a row a budget."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from analysis.arrays import Array

FLOPS_PER_TOKEN = 6.0
"""FLOPs of a parameter and token: forward and backward pass (arXiv 2001.08361, section 2.1)."""


@dataclass(frozen=True)
class Budgets:
    """B compute budgets of at most n runs each; where a budget has fewer, its last run fills the row.

    Attributes
    ----------
    compute : ndarray (B,)
        FLOPs: the geometric mean of the budget's runs, ascending.
    log_size, log_tokens : ndarray (B, n)
        In order of size.
    loss : ndarray (B, n)
        Nats.
    present : ndarray (B, n) of bool
        False where a row is filled.
    runs : ndarray (B, n) of str
    """

    compute: Array
    log_size: Array
    log_tokens: Array
    loss: Array
    present: NDArray[np.bool_]
    runs: NDArray[np.str_]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Distinct sizes of each budget (B,)."""
        return np.asarray(1 + (np.diff(self.log_size, axis=1) > 0).sum(axis=1))

    @property
    def lowest(self) -> NDArray[np.int64]:
        """Column of the lowest loss of each budget (B,)."""
        return np.asarray(self.loss.argmin(axis=1))

    @property
    def ends(self) -> tuple[Array, Array]:
        """Log of the smallest and of the largest size of each budget."""
        return self.log_size[:, 0], self.log_size[:, -1]


def group_budgets(rows: pl.DataFrame, tolerance: float) -> Budgets:
    """Runs grouped by their compute.

    Losses are taken as they are: within
    a budget, compute that differs by a fraction t moves them by about 0.15 t of themselves on language.

    Parameters
    ----------
    rows : polars.DataFrame
        ``run``, C, N, D and L, all positive.
    tolerance : float
    """
    size, tokens, loss, compute = (rows[name].cast(pl.Float64).to_numpy() for name in "NDLC")
    budget = near_values(compute, tolerance)
    order = np.lexsort((size, budget))
    counts = np.bincount(budget)
    column = np.arange(counts.max())
    starts = np.cumsum(counts) - counts
    place = order[starts[:, None] + np.minimum(column, counts[:, None] - 1)]
    return Budgets(
        compute=np.exp(np.bincount(budget, np.log(compute)) / counts),
        log_size=np.log(size)[place],
        log_tokens=np.log(tokens)[place],
        loss=loss[place],
        present=column < counts[:, None],
        runs=rows["run"].cast(pl.String).to_numpy().astype(np.str_)[place],
    )


def near_values(values: Array, tolerance: float) -> NDArray[np.int64]:
    """Which cluster of near values each (n,) belongs to, counted from the smallest.

    A cluster is a smallest value with all those up to ``tolerance`` (a fraction) above it; the next begins
    another, so that no chain of near values can join two clusters.
    """
    cluster = np.empty(len(values), dtype=np.int64)
    number, first = -1, -np.inf
    for place in np.argsort(values, kind="stable"):
        if number < 0 or values[place] > first * (1 + tolerance):
            number, first = number + 1, values[place]
        cluster[place] = number
    return cluster


def near_the_lowest(budgets: Budgets, window: float, least: int = 5) -> NDArray[np.bool_]:
    """Which runs (B, n) a budget's parabola is fitted to.

    Those of the sizes within a factor ``window`` of the size with the lowest loss, or of the ``least``
    sizes nearest to it in the log where those are fewer: far from the minimum the loss is no parabola.
    """
    centre = np.take_along_axis(budgets.log_size, budgets.lowest[:, None], axis=1)
    distance = np.abs(budgets.log_size - centre)
    reach = [np.unique(np.round(row, 9))[:least].max() for row in distance]
    return np.asarray(budgets.present & (distance <= np.maximum(np.log(window), reach)[:, None] + 1e-8))
