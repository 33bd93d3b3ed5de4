"""Runs of one group as a law sees them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from analysis.arrays import Array
from analysis.tables.sweeps import swept_columns

# Runs that differ in one of these are never replicates of one another, whatever the law sees.
_POINT = ("N", "D", "U", "M", "H", "S", "P")
# Runs of two groups that agree in these are drawn by the same numbers.
_MATCHED = ("N", "D")


@dataclass(frozen=True)
class Sample:
    """Runs of one group as a law sees them.

    Attributes
    ----------
    group : str
    inputs : ndarray (n, K)
        In the order of the law's ``inputs``.
    target : ndarray (n,)
    runs : ndarray (n,) of str
        Which run a row is of: rows of one run are its checkpoints.
    cells : ndarray (n,) of str
        Name of the point that a row is at: rows of one cell differ in their seed (or see ``sweeps``).
    matched : ndarray (n,) of str
        The same without what differs between groups by design.
    seeds : ndarray (n,) of int
    weight : ndarray (n,)
        How much a row counts in the fit; 1 on average.
    sweeps : tuple of str
        What tells rows of one point apart besides their seed: they are then no replicates.
    """

    group: str
    inputs: Array
    target: Array
    runs: NDArray[np.str_]
    cells: NDArray[np.str_]
    matched: NDArray[np.str_]
    seeds: NDArray[np.int64]
    weight: Array
    sweeps: tuple[str, ...]

    @property
    def rows(self) -> int:
        """N."""
        return len(self.target)

    @property
    def has_checkpoints(self) -> bool:
        """Whether some run has several rows."""
        return len(np.unique(self.runs)) < self.rows

    @property
    def seeds_at_point(self) -> NDArray[np.int64]:
        """Rows at the point of each row (n,)."""
        _, cell, counts = np.unique(self.cells, return_inverse=True, return_counts=True)
        return counts[cell]


def take_sample(
    rows: pl.DataFrame, inputs: Sequence[str], target: str, group: str = "", error: str = ""
) -> Sample:
    """The columns of a law from rows that have them.

    Parameters
    ----------
    rows : polars.DataFrame
        ``run``, the law's inputs and target by their letters; ``seed`` if known.
    inputs : sequence of str
    target : str
    group : str
        Name of these rows together.
    error : str
        Column of the standard errors of the log target; empty for equal weights.
    """
    cells = _names(rows, dict.fromkeys((*inputs, *_POINT)))
    seeds = rows["seed"].fill_null(0) if "seed" in rows.columns else pl.zeros(len(rows), pl.Int64, eager=True)
    return Sample(
        group=group,
        inputs=rows.select(inputs).to_numpy().astype(np.float64),
        target=rows[target].to_numpy().astype(np.float64),
        runs=rows["run"].cast(pl.String).to_numpy().astype(np.str_),
        cells=cells,
        matched=_names(rows, dict.fromkeys((*inputs, *_MATCHED))),
        seeds=seeds.cast(pl.Int64).to_numpy(),
        weight=_weights(rows, error) if error else np.ones(len(rows)),
        sweeps=swept_columns(rows, cells, target),
    )


def _weights(rows: pl.DataFrame, error: str) -> Array:
    precision = rows[error].to_numpy().astype(np.float64) ** -2.0
    return np.asarray(precision / precision.mean())


def _names(rows: pl.DataFrame, columns: Sequence[str] | dict[str, None]) -> NDArray[np.str_]:
    present = [pl.col(name).cast(pl.Float64).cast(pl.String) for name in columns if name in rows.columns]
    names = rows.select(pl.concat_str(present, separator=" ", ignore_nulls=True)).to_series()
    return names.to_numpy().astype(np.str_)
