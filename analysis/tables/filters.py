"""Which runs of a table are fitted, in the words of the user."""

from dataclasses import replace

import polars as pl

from analysis.tables.run_table import RunTable
from wardlaw.errors import RecordError

_EXAMPLE = "Write, say, \"C >= 1e21 and split = 'fit'\""


def keep_where(table: RunTable, condition: str) -> RunTable:
    """Only the rows that a condition holds for, written as in SQL: ``C >= 1e21 and split = 'fit'``."""
    met = _condition(table, condition)
    return table.without(~met, f"not {condition}").noting(f"only runs with {condition}")


def split_where(table: RunTable, condition: str) -> tuple[RunTable, RunTable]:
    """The rows that a condition does not hold for, and those that it does."""
    met = _condition(table, condition)
    held = table.rows.filter(met)
    if held.is_empty() or len(held) == len(table.rows):
        raise RecordError(
            f"'{condition}' holds out {len(held)} of {len(table.rows)} runs",
            where="--holdout",
            remedy="Some runs must be left on both sides",
        )
    fitted = replace(table, rows=table.rows.filter(~met)).noting(
        f"{len(held)} runs with {condition} were held out of the fit"
    )
    return fitted, replace(table, rows=held)


def drop_worst_loss(table: RunTable, worst: int, target: str = "L") -> RunTable:
    """Without the runs whose loss is among the ``worst`` largest values, nor those that have none.

    Ties with the last of them go too, as in arXiv 2404.10102: what stays is strictly below it.
    """
    ranked = table.require([target])
    losses = ranked.rows[target].sort(descending=True)
    if not 0 < worst < len(losses):
        raise RecordError(f"cannot drop the {worst} worst of {len(losses)} runs", where="--drop-worst-loss")
    return ranked.without(
        pl.col(target) >= losses[worst - 1], f"among the {worst} largest values of {target}"
    ).noting(f"without the {worst} largest values of {target}")


def drop_duplicates(table: RunTable) -> RunTable:
    """Without rows that repeat another in every column but the run's name: the same run twice."""
    same = [name for name in table.rows.columns if name != "run"]
    return table.without(~pl.struct(same).is_first_distinct(), "duplicate: the same values as another row")


def _condition(table: RunTable, condition: str) -> pl.Expr:
    try:
        expression = pl.sql_expr(condition)
        kind = table.rows.select(expression.alias("met")).schema["met"]
    except (pl.exceptions.PolarsError, ValueError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise RecordError(
            f"'{condition}' cannot be read as a condition: {first}",
            where=table.source,
            remedy=f"{_EXAMPLE} over {', '.join(table.rows.columns)}",
        ) from None
    if kind != pl.Boolean:
        raise RecordError(
            f"'{condition}' is no condition: it gives {kind}", where=table.source, remedy=_EXAMPLE
        )
    # As in SQL, a condition of a missing value does not hold.
    return expression.fill_null(value=False)
