"""The groups that a comparison is of, each in the order that pairs its runs with the others'."""

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from analysis.tables.groups import group_columns, split_groups
from analysis.tables.run_table import RunTable
from wardlaw.errors import RecordError

# What a row's place in its group goes by, as far as it is known.
_ORDER = ("N", "D", "U", "C", "seed")


def taken_apart(
    table: RunTable, column: str, reference: str, against: Sequence[str]
) -> tuple[str, dict[str, RunTable], tuple[str, ...]]:
    """The column, the tables of the reference and of the groups against it, and what was left out.

    Rows are sorted by their inputs and seed, so that whole runs are drawn in pairs whatever the order of
    the table.

    Raises
    ------
    RecordError
        If no column is named, a value is not there, or groups are of different objectives.
    """
    name = group_columns(table, column)
    if not name:
        raise RecordError(
            "no column tells the groups apart",
            where=table.source,
            remedy=f"Name it with --group; there is {', '.join(table.rows.columns)}",
        )
    parts = {part.group_name: part for part in split_groups(table, name)}
    first = _find(parts, reference, name, "--reference")
    wanted = [_find(parts, value, name, "--against") for value in against]
    apart = [value for value in parts if parts[value].objectives != parts[first].objectives]
    if unlike := [value for value in wanted if value in apart]:
        raise RecordError(
            f"losses of '{unlike[0]}' and of '{first}' are of different objectives and cannot be compared",
            where="--against",
            remedy="Compare arms of one objective",
        )
    if first in wanted:
        raise RecordError(f"'{first}' is the reference itself", where="--against")
    others = dict.fromkeys(wanted or [value for value in parts if value != first and value not in apart])
    if not others:
        raise RecordError(
            f"'{first}' is the only value of {name}{' of its objective' if apart else ''}",
            where=table.source,
            remedy="Compare two groups of runs",
        )
    chosen = {value: _sorted(parts[value]) for value in (first, *others)}
    unnamed = len(table.rows) - sum(len(part.rows) for part in parts.values())
    warnings = [f"{unnamed} runs have no {name} and are in no group"] if unnamed else []
    if apart and not wanted:
        warnings.append(f"not compared, since their losses are of other objectives: {', '.join(apart)}")
    return name, chosen, tuple(warnings)


def _find(parts: dict[str, RunTable], value: str, column: str, option: str) -> str:
    """The group that a user names; numbers may be written otherwise than in the table (8 and 8.0)."""
    if value in parts:
        return value
    for name in parts:
        try:
            if float(name) == float(value):
                return name
        except ValueError:
            continue
    raise RecordError(
        f"no run has {column} = '{value}'", where=option, remedy=f"Use one of {', '.join(parts)}"
    )


def _sorted(part: RunTable) -> RunTable:
    keys = [pl.col(letter) for letter in _ORDER if letter in part.rows.columns]
    return replace(part, rows=part.rows.sort(keys, maintain_order=True)) if keys else part
