"""Files of labels, outputs and scores: a ``record`` column and a column for each SNOMED CT code."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from client.ecg.classes import ABBREVIATIONS, CLASSES, class_of
from client.ecg.scoring.csv_file import RECORD, read_text, record_names
from client.ecg.scoring.figures import Predictions
from wardlaw.errors import DataError

Floats = NDArray[np.float64]

_TRUTHS = {"true": "1", "false": "0"}


@dataclass(frozen=True)
class Cells:
    """What a file's cells may hold, and how columns of equivalent codes become one.

    Attributes
    ----------
    wanted : str
        What a cell should be, for people.
    allowed : callable
        Which of an array of numbers may stand in a cell.
    merge : callable
        Reduces the columns of one class, (k, n), to (n,).
    """

    wanted: str
    allowed: Callable[[Floats], NDArray[np.bool_]]
    merge: Callable[[Floats], Floats]


BINARY = Cells("0 or 1", lambda cells: (cells == 0) | (cells == 1), lambda columns: columns.max(axis=0))
"""Labels and outputs; a class is there if any of its codes is, as in the Challenge."""

SHARE = Cells(
    "a number from 0 to 1", lambda cells: (cells >= 0) & (cells <= 1), lambda columns: columns.mean(axis=0)
)
"""Scores; a class has the mean of its codes' scores, as in the Challenge."""


@dataclass(frozen=True, eq=False)
class CodeTable:
    """One file's columns by class.

    Attributes
    ----------
    path : Path
    records : tuple of str
    columns : dict of int to (n,) array of float64
        By place of the class in ``CLASSES``, equivalent codes merged.
    ignored : tuple of str
        Columns that are no scored class.
    """

    path: Path
    records: tuple[str, ...]
    columns: dict[int, Floats]
    ignored: tuple[str, ...]

    def values(self) -> Floats:
        """All classes in the order of ``CLASSES``, (n, 26); 0 for a class without a column."""
        values = np.zeros((len(self.records), len(CLASSES)))
        for number, column in self.columns.items():
            values[:, number] = column
        return values


def read_codes(path: Path, cells: Cells) -> CodeTable:
    """Read one file. Columns may be in any order; a name is a code, or equivalent codes joined by ``|``.

    Raises
    ------
    DataError
        If there is no such file, no ``record`` column, no column of a scored class, a record or column twice,
        or a cell that is not what it should be.
    """
    table = read_text(path)
    records = record_names(table, path)
    gathered: dict[int, list[Floats]] = {}
    ignored = []
    for name in table.columns:
        number = _class_of_column(name, path)
        if number is not None:
            gathered.setdefault(number, []).append(_numbers(table, name, cells, path))
        elif name != RECORD:
            ignored.append(name)
    if not gathered:
        raise DataError(
            "no column is a scored diagnosis", where=str(path), remedy="Name columns by SNOMED CT code"
        )
    columns = {number: cells.merge(np.stack(parts)) for number, parts in gathered.items()}
    return CodeTable(path, records, columns, tuple(ignored))


def match(labels: CodeTable, outputs: CodeTable, scores: CodeTable | None) -> Predictions:
    """Rows matched by record, columns by class, in the order of the labels' records.

    A class that only the outputs have counts as a diagnosis that no record has.

    Raises
    ------
    DataError
        If the files' records differ, or a class of the labels has no column in another file.
    """
    truth, answered = labels.values().astype(np.uint8), _matched(labels, outputs).astype(np.uint8)
    return Predictions(truth, answered, _matched(labels, scores) if scores else None)


def unlabelled(labels: CodeTable, outputs: CodeTable) -> list[int]:
    """Classes that the outputs have and the labels have not: scored as diagnoses that no record has."""
    return sorted(outputs.columns.keys() - labels.columns.keys())


def _matched(labels: CodeTable, other: CodeTable) -> Floats:
    for number in labels.columns:
        if number not in other.columns:
            raise DataError(
                f"has no column {CLASSES[number]} ({ABBREVIATIONS[number]}), which the labels have",
                where=str(other.path),
                remedy="Add it, with 0 if the model never gives this diagnosis",
            )
    row = {record: number for number, record in enumerate(other.records)}
    for record in labels.records:
        if record not in row:
            raise DataError(f"has no row for record '{record}'", where=str(other.path))
    extra = sorted(row.keys() - set(labels.records))
    if extra:
        raise DataError(
            f"record '{extra[0]}' has no labels",
            where=str(other.path),
            remedy=f"Take it out, or add it to {labels.path}",
        )
    return other.values()[[row[record] for record in labels.records]]


def _class_of_column(name: str, path: Path) -> int | None:
    numbers = {class_of(code.strip()) for code in name.split("|")}
    if len(numbers) > 1:
        raise DataError(
            f"column '{name}' joins codes that are not equivalent",
            where=str(path),
            remedy="Give each its own column",
        )
    return numbers.pop()


def _numbers(table: pl.DataFrame, name: str, cells: Cells, path: Path) -> Floats:
    text = table[name]
    numbers = text.str.to_lowercase().replace(_TRUTHS).cast(pl.Float64, strict=False).fill_null(np.nan)
    values = numbers.to_numpy()
    wrong = np.flatnonzero(~cells.allowed(values))
    if len(wrong):
        row = int(wrong[0])
        raise DataError(
            f"'{text[row]}' is not {cells.wanted}",
            where=f"{path}, record '{table[RECORD][row]}', column {name}",
        )
    return values
