"""A design space from a table of runs, or the reason why the table has none."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from analysis.importance.configurations import number_configurations, number_rows
from analysis.importance.design_space import CATEGORY, NUMBER, DesignSpace, Feature
from analysis.tables.run_table import RunTable
from wardlaw.errors import RecordError

_MISSING = "(missing)"
# A positive feature whose largest value is so many times its smallest is taken by its log.
_DECADES = 100.0
# Runs of each group, on average, that make looking into groups worth while.
_FEWEST = 3


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
    _check_names(table, metric, features, within)
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
        configuration=number_configurations(rows.select(features)),
        within=within,
        group=number_rows(groups) if within else np.zeros(len(rows), dtype=np.int64),
        groups=tuple(distinct) if within else (),
    )


def _check_names(table: RunTable, metric: str, features: Sequence[str], within: str) -> None:
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
        table.check_column(name, option)


def _with_metric(table: RunTable, metric: str) -> RunTable:
    kept = table.with_numbers(metric, "--metric")
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
    column = column.fill_nan(None) if column.dtype.is_float() else column
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
