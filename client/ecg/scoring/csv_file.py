"""CSV files with a ``record`` column, read as text so that each cell can be judged."""

import csv
from pathlib import Path
from typing import TextIO

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardlaw.errors import DataError

RECORD = "record"
PATIENT = "patient"


def read_text(path: Path) -> pl.DataFrame:
    """All cells as text, stripped; empty lines are left out.

    Raises
    ------
    DataError
        If the file cannot be read, has no rows, has a column twice, or has a line that is shorter or longer
        than its first.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = _lines(file, path)
    except FileNotFoundError:
        raise DataError("no such file", where=str(path)) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"not a CSV file: {error}", where=str(path)) from None
    if len(lines) < 2:
        raise DataError("has no rows", where=str(path))
    names, *rows = lines
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise DataError(f"column '{twice[0]}' is there twice", where=str(path))
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")


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


def _lines(file: TextIO, path: Path) -> list[list[str]]:
    reader = csv.reader(file, skipinitialspace=True)
    lines: list[list[str]] = []
    for cells in reader:
        if lines and cells and len(cells) != len(lines[0]):
            raise DataError(
                f"has {len(cells)} cells, the first line {len(lines[0])}",
                where=f"{path}, line {reader.line_num}",
            )
        if cells:
            lines.append([cell.strip() for cell in cells])
    return lines


def _filled(table: pl.DataFrame, name: str, path: Path) -> pl.Series:
    if name not in table.columns:
        raise DataError(f"has no column '{name}'", where=str(path))
    if "" in table[name]:
        raise DataError(f"has no {name}", where=f"{path}, row {table[name].to_list().index('') + 1}")
    return table[name]
