"""CSV files with a ``record`` column, read as text so that each cell can be judged."""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardlaw.errors import DataError

RECORD = "record"
PATIENT = "patient"


def read_text(path: Path) -> pl.DataFrame:
    """All cells as text, stripped; an empty cell is null.

    Raises
    ------
    DataError
        If the file cannot be read, has no rows, or has a column twice.
    """
    try:
        lines = pl.read_csv(path, has_header=False, infer_schema=False)
    except FileNotFoundError:
        raise DataError("no such file", where=str(path)) from None
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"not a CSV file: {str(error).splitlines()[0]}", where=str(path)) from None
    lines = lines.with_columns(pl.all().str.strip_chars())
    names = [(name or "").removeprefix("\ufeff") for name in lines.row(0)]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise DataError(f"column '{twice[0]}' is there twice", where=str(path))
    if len(lines) == 1:
        raise DataError("has no rows", where=str(path))
    return lines[1:].rename(dict(zip(lines.columns, names, strict=True)))


def record_names(table: pl.DataFrame, path: Path) -> tuple[str, ...]:
    """Names in the ``record`` column.

    Raises
    ------
    DataError
        If there is no such column, or a name is empty or there twice.
    """
    names = _filled(table, RECORD, path)
    if names.is_duplicated().any():
        raise DataError(f"record '{names.filter(names.is_duplicated())[0]}' is there twice", where=str(path))
    return tuple(names)


def read_patients(path: Path, records: tuple[str, ...]) -> NDArray[np.str_]:
    """Patient of each record, from a file with columns ``record`` and ``patient``.

    The file may have other records too.

    Raises
    ------
    DataError
        If the file is not of this form, or a record has no patient.
    """
    table = read_text(path)
    owner = dict(zip(record_names(table, path), _filled(table, PATIENT, path), strict=True))
    for record in records:
        if record not in owner:
            raise DataError(f"has no row for record '{record}'", where=str(path))
    return np.array([owner[record] for record in records])


def _filled(table: pl.DataFrame, name: str, path: Path) -> pl.Series:
    if name not in table.columns:
        raise DataError(f"has no column '{name}'", where=str(path))
    empty = table[name].fill_null("") == ""
    if empty.any():
        line = int(empty.to_numpy().argmax()) + 2
        raise DataError(f"has no {name}", where=f"{path}, line {line}")
    return table[name]
