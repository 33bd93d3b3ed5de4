"""Tables beside a source's signals: CSV files with a header."""

import csv
from collections.abc import Collection
from pathlib import Path

from wardlaw.errors import ConfigError, DataError

Row = dict[str, str]


def rows(path: Path, *needed: str) -> list[Row]:
    """Rows of a CSV file by column.

    Raises
    ------
    DataError
        If there is no such file, it lacks a needed column, or a row has another number of fields.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            table = list(reader)
    except FileNotFoundError:
        raise DataError("no such file", where=str(path)) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"is not a CSV file in UTF-8: {error}", where=str(path)) from None
    if missing := [column for column in needed if column not in (reader.fieldnames or ())]:
        raise DataError(f"has no column {', '.join(missing)}", where=str(path))
    for number, row in enumerate(table, start=1):
        if None in row or None in row.values():
            raise DataError(f"row {number} has another number of fields than the header", where=str(path))
    return table


def by_column(table: list[Row], column: str, path: Path) -> dict[str, Row]:
    """Rows by the value of a column.

    Raises
    ------
    DataError
        If a value is empty or there twice.
    """
    found: dict[str, Row] = {}
    for row in table:
        value = row[column].strip()
        if not value or value in found:
            fault = f"{column} {value} is there twice" if value else f"a row has no {column}"
            raise DataError(fault, where=str(path))
        found[value] = row
    return found


def site_of(row: Row, column: str) -> str:
    """Value of the column that divides into sites; ``"unknown"`` where it is empty."""
    return (row.get(column, "").strip() or "unknown") if column else ""


def check_site_column(column: str, columns: Collection[str]) -> None:
    """Refuse a column that is not there.

    Raises
    ------
    ConfigError
        If sites are to be told by a column that the source does not have.
    """
    if column and column not in columns:
        known = ", ".join(columns) or "none here"
        raise ConfigError(
            f"no column {column}", where="--site-column", remedy=f"Columns that name a site: {known}"
        )


def refuse_patients(patients: Path | None, where: str) -> None:
    """Refuse a table of patients for a source that has its own."""
    if patients:
        raise ConfigError("is for --source wfdb", where="--patients", remedy=f"{where} names the patients")
