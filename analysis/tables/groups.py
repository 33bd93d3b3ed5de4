"""Runs that are taken apart by the values of some columns."""

from collections.abc import Collection
from dataclasses import replace

import polars as pl

from analysis.tables.run_table import RunTable
from wardlaw.errors import RecordError

# What a user says for all runs together.
_TOGETHER = "none"


def group_columns(table: RunTable, asked: str, inputs: Collection[str] = ()) -> str:
    """Columns that tell the groups apart: those asked for, else the table's own; empty for none.

    The table's own are those for laws of these inputs, as ``RunTable.groups_for`` says.
    """
    columns = asked or table.groups_for(inputs)
    return "" if columns == _TOGETHER else columns


def split_groups(table: RunTable, asked: str, inputs: Collection[str] = ()) -> list[RunTable]:
    """A table for each value of a column, or of several: ``"hparams,warmup"``.

    They come in the order in which their values appear; each keeps all that was dropped, among it the
    rows that lack a value. The name of a group of several columns is their values, joined by slashes.

    Parameters
    ----------
    table : RunTable
    asked : str
        Columns; the table's own if empty, and one group if that is empty too. ``none`` for all runs
        together.
    inputs : collection of str
        Of the law that the groups are for.

    Raises
    ------
    RecordError
        If there is no such column, no row has a value in it, or a group has runs of several objectives.
    """
    columns = group_columns(table, asked, inputs)
    if not columns:
        table.check_one_objective(table.source)
        return [replace(table, group="")]
    names = [columns] if columns in table.rows.columns else [name.strip() for name in columns.split(",")]
    for name in names:
        table.check_column(name, "--group")
        table = table.without(pl.col(name).is_null(), f"{name} is missing")
    if table.rows.is_empty():
        raise RecordError(f"no run has a value of {columns}", where="--group", remedy="Name another column")
    values = pl.concat_str([pl.col(name).cast(pl.String) for name in names], separator="/")
    named = table.rows.with_columns(values.alias(columns)) if len(names) > 1 else table.rows
    parts = [
        replace(table, rows=rows, group=columns).noting(f"{columns} is {value}")
        for (value,), rows in named.group_by(columns, maintain_order=True)
    ]
    for part in parts:
        part.check_one_objective(f"{columns} = {part.group_name}")
    return parts
