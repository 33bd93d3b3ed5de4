"""Runs that are taken apart by the values of some columns."""

from dataclasses import replace

import polars as pl

from analysis.tables.run_table import RunTable
from wardlaw.errors import RecordError


def split_groups(table: RunTable, columns: str) -> list[RunTable]:
    """A table for each value of a column, or of several: ``"hparams,warmup"``.

    They come in the order in which their values appear; each keeps all that was dropped. The name of a
    group of several columns is their values, joined by slashes.

    Raises
    ------
    RecordError
        If there is no such column.
    """
    names = [columns] if columns in table.rows.columns else [name.strip() for name in columns.split(",")]
    if missing := [name for name in names if name not in table.rows.columns]:
        raise RecordError(
            f"there is no column '{missing[0]}'",
            where="--group",
            remedy=f"Use one of {', '.join(table.rows.columns)}",
        )
    values = pl.concat_str([pl.col(name).cast(pl.String).fill_null("none") for name in names], separator="/")
    named = table.rows.with_columns(values.alias(columns)) if len(names) > 1 else table.rows
    return [
        replace(table, rows=rows, group=columns).noting(f"{columns} is {value}")
        for (value,), rows in named.group_by(columns, maintain_order=True)
    ]
