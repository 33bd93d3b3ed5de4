"""Hyper-parameters and a metric of many runs, as numbers that a forest and a rank correlation can take."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from analysis.tables.run_table import RunTable
from wardlaw.errors import RecordError

Array = NDArray[np.float64]
Labels = NDArray[np.int64]

NUMBER, CATEGORY = "number", "category"
_MISSING = "(missing)"
# A positive feature whose largest value is so many times its smallest is taken by its log.
_DECADES = 100.0
# Runs of each group, on average, that make looking into groups worth while.
_FEWEST = 3


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
        Runs with the same hyper-parameters are one configuration: they differ in their seed, or in what
        was not named.
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


def take_design_space(table: RunTable, metric: str, features: Sequence[str], within: str = "") -> DesignSpace:
    """The columns of a table that an analysis of a design space needs.

    Parameters
    ----------
    table : RunTable
    metric : str
        Column of numbers, of any sign; a row without one is dropped and listed.
    features : sequence of str
        Columns of hyper-parameters.
    within : str
        Column of the groups to look into.

    Raises
    ------
    RecordError
        If a column is absent, is constant, or names runs instead of describing them.
    """
    if not features:
        raise RecordError("no feature was named", where="--features", remedy="Write --features depth,width")
    if repeated := [name for name in features if features.count(name) > 1]:
        raise RecordError(f"{repeated[0]} is named twice", where="--features", remedy="Name it once")
    if metric in features:
        raise RecordError(
            f"{metric} is the metric and cannot explain itself", where="--features", remedy="Leave it out"
        )
    named = [("--metric", metric), *(("--features", name) for name in features)]
    for option, name in [*named, *([("--within", within)] if within else [])]:
        if name not in table.rows.columns:
            raise RecordError(
                f"there is no column '{name}'",
                where=option,
                remedy=f"Use one of {', '.join(table.rows.columns)}",
            )
    kept = _with_metric(table, metric)
    rows = kept.rows
    groups = rows.select(
        (pl.col(within).cast(pl.String).fill_null(_MISSING) if within else pl.lit("")).alias("group")
    )
    distinct = list(groups["group"].unique(maintain_order=True))
    if within and len(rows) < _FEWEST * len(distinct):
        raise RecordError(
            f"{within} has {len(distinct)} values in {len(rows)} runs: too few runs of each",
            where="--within",
            remedy="Name a column of few values",
        )
    return DesignSpace(
        table=kept,
        metric_name=metric,
        metric=rows[metric].cast(pl.Float64).to_numpy(),
        features=tuple(_feature(rows[name]) for name in features),
        configuration=_numbered(rows.select(features)),
        within=within,
        group=_numbered(groups) if within else np.zeros(len(rows), dtype=np.int64),
        groups=tuple(distinct) if within else (),
    )


def _with_metric(table: RunTable, metric: str) -> RunTable:
    if not table.rows.schema[metric].is_numeric():
        raise RecordError(
            f"{metric} is not a column of numbers (its first value is {table.rows[metric][0]!r})",
            where="--metric",
            remedy="Mend the values, or name another column",
        )
    value = pl.col(metric).cast(pl.Float64)
    kept = (
        table.without(value.is_null(), f"{metric} is missing")
        .without(value.is_nan(), f"{metric} is not a number")
        .without(value.is_infinite(), f"{metric} is infinite")
    )
    if kept.rows.is_empty():
        raise RecordError(f"no run has a {metric}", where="--metric", remedy="Name another column")
    if kept.rows[metric].n_unique() == 1:
        raise RecordError(
            f"all {len(kept.rows)} runs have the same {metric} ({kept.rows[metric][0]:g}), so nothing can "
            "explain it",
            where="--metric",
            remedy="Name another column, or add runs",
        )
    return kept


def _feature(column: pl.Series) -> Feature:
    if column.n_unique() == 1:
        raise RecordError(
            f"all {len(column)} runs have the same {column.name} ({column[0]})",
            where="--features",
            remedy="Leave it out: what does not vary explains nothing",
        )
    if column.dtype.is_numeric() or column.dtype == pl.Boolean:
        return _number(column)
    values = column.cast(pl.String).fill_null(_MISSING)
    levels = values.unique(maintain_order=True).to_list()
    if len(levels) == len(values):
        raise RecordError(
            f"{column.name} has another value in each of the {len(values)} runs",
            where="--features",
            remedy="It names runs and describes none: leave it out, or mend it if it should hold numbers",
        )
    shown = levels[1:] if len(levels) == 2 else levels
    indicators = np.column_stack([(values == level).to_numpy() for level in shown]).astype(np.float64)
    return Feature(column.name, CATEGORY, tuple(f"{column.name} = {level}" for level in shown), indicators)


def _number(column: pl.Series) -> Feature:
    values = column.cast(pl.Float64).fill_null(np.nan).to_numpy().copy()
    if np.isinf(values).any():
        raise RecordError(
            f"{column.name} is infinite in {int(np.isinf(values).sum())} runs",
            where="--features",
            remedy="Leave those runs out with --where",
        )
    present = values[~np.isnan(values)]
    if present.min() > 0 and present.max() >= _DECADES * present.min():
        values = np.log(values)
    return Feature(column.name, NUMBER, (column.name,), values[:, None])


def _numbered(rows: pl.DataFrame) -> Labels:
    """Distinct rows numbered in the order in which they appear."""
    numbered = rows.with_row_index("row number")
    first = numbered.select(pl.col("row number").first().over(rows.columns)).to_series().to_numpy()
    return np.unique(first, return_inverse=True)[1].astype(np.int64)
