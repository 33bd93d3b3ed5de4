"""Hyper-parameters and a metric of many runs, as numbers that a forest and a rank correlation can take."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from analysis.arrays import Array
from analysis.tables.run_table import RunTable

Labels = NDArray[np.int64]

NUMBER, CATEGORY = "number", "category"


@dataclass(frozen=True)
class Feature:
    """One hyper-parameter.

    Attributes
    ----------
    name : str
    kind : {"number", "category"}
    labels : tuple of str
        Name of each column of ``values``: the feature itself, or ``feature = value``.
    values : ndarray (n, q)
        A number (its log where it spans decades: ranks stay, and a forest's thresholds, halfway between
        values that were seen, become geometric means), NaN where missing; or an indicator of each value
        of a category, and of one only where there are two. No order of values is invented.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    values: Array

    def varies(self, rows: NDArray[np.bool_]) -> bool:
        """Whether some of these runs (n,) differ in it."""
        values = self.values[rows]
        return bool((~((values == values[:1]) | (np.isnan(values) & np.isnan(values[:1])))).any())


@dataclass(frozen=True)
class DesignSpace:
    """Runs with their hyper-parameters and metric.

    Attributes
    ----------
    table : RunTable
        The rows that have the metric; the others are among its ``dropped``.
    metric_name : str
    metric : ndarray (n,)
    features : tuple of Feature
    configuration : ndarray (n,) of int
        Runs with the same hyper-parameters, numbers within 1 %, are one configuration: they differ in
        their seed, or in what was not named.
    within : str
        Column of the groups; empty if there are none.
    group : ndarray (n,) of int
        Index into ``groups``.
    groups : tuple of str
        Values of the column ``within``, in the order in which they appear.
    """

    table: RunTable
    metric_name: str
    metric: Array
    features: tuple[Feature, ...]
    configuration: Labels
    within: str
    group: Labels
    groups: tuple[str, ...]

    @property
    def design(self) -> Array:
        """All columns of all features (n, Q)."""
        return np.concatenate([feature.values for feature in self.features], axis=1)

    @property
    def owner(self) -> Labels:
        """Which feature each column of ``design`` belongs to (Q,)."""
        return np.repeat(np.arange(len(self.features)), [len(feature.labels) for feature in self.features])

    @property
    def configurations(self) -> int:
        """Distinct configurations."""
        return int(self.configuration.max()) + 1

    @property
    def labelled(self) -> pl.DataFrame:
        """A row a run: ``run`` and ``group``, which is null where there are no groups."""
        groups = [self.groups[place] if self.groups else None for place in self.group]
        return self.table.rows.select(pl.col("run").cast(pl.String)).with_columns(
            group=pl.Series(groups, dtype=pl.String)
        )

    @property
    def scopes(self) -> tuple["Scope", ...]:
        """All runs, then those of each group."""
        everything = Scope(None, np.ones(len(self.metric), dtype=np.bool_))
        return everything, *(Scope(name, self.group == place) for place, name in enumerate(self.groups))


@dataclass(frozen=True)
class Scope:
    """Runs that are looked at together.

    Attributes
    ----------
    group : str or None
        Value of the column ``within``; None for all runs.
    rows : ndarray (n,) of bool
    """

    group: str | None
    rows: NDArray[np.bool_]
