"""The nested cases of the joint law, as candidates to select from."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, combinations

import numpy as np
import polars as pl

from analysis.fits.selection import Candidate
from analysis.fits.table_fit import Request
from analysis.laws.joint import Joint
from analysis.tables.filters import split_where
from analysis.tables.run_table import RunTable
from analysis.tables.sample import take_sample
from wardlaw.errors import RecordError


def fill_absent(table: RunTable) -> RunTable:
    """With the inputs of the joint law that the table has no column of, at their neutral values.

    U is then D, M 1 and S 0, and a note says so; a column with gaps is left as it is.
    """
    for letter in ("N", "D"):
        table.check_column(letter, f"--columns {letter}=...")
    absent = {name: value for name, value in Joint.absent.items() if name not in table.rows.columns}
    filled = {
        name: pl.col(value) if isinstance(value, str) else pl.lit(value) for name, value in absent.items()
    }
    notes = [f"{name} was not in the table and is taken to be {value}" for name, value in absent.items()]
    return replace(table, rows=table.rows.with_columns(**filled)).noting(*notes)


def told_parts(table: RunTable, holdout: str) -> tuple[str, ...]:
    """Parts of the joint law whose inputs differ between the runs that are not held out.

    Raises
    ------
    RecordError
        If there is none, or no run is left.
    """
    fitted, _ = split_where(table.require((*Joint.inputs, Joint.target)), holdout)
    inputs = take_sample(fitted.rows, Joint.inputs, Joint.target).inputs
    told = {
        part: Joint.told_apart(inputs, set(Joint.parameters) - set(held)).values()
        for part, held in Joint.neutral.items()
    }
    parts = tuple(part for part, columns in told.items() if all(len(np.unique(one)) > 1 for one in columns))
    if not parts:
        raise RecordError(
            "the runs do not differ in repeats (D above U), sites (M) or noise (S): no part to choose",
            where=table.source,
            remedy="Name their columns with --columns U=...,M=...,S=...; or fit the chinchilla law",
        )
    return parts


def joint_candidates(parts: Sequence[str], objective: str = "") -> tuple[Candidate, ...]:
    """The joint law with each subset of some parts, the others held at their neutral values.

    A candidate is called by its parts; all have size and tokens.

    Parameters
    ----------
    parts : sequence of str
        Of ``Joint.neutral``.
    objective : str
        As in ``Request``.
    """
    subsets = chain.from_iterable(combinations(parts, size) for size in range(len(parts) + 1))
    return tuple(
        Candidate(
            " + ".join(subset) or "size and tokens",
            Request(law=Joint.name, objective=objective, fixed=_held(subset)),
        )
        for subset in subsets
    )


def _held(free: Sequence[str]) -> dict[str, float]:
    return {
        name: value
        for part, values in Joint.neutral.items()
        if part not in free
        for name, value in values.items()
    }
