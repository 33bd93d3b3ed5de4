"""What every panel of the report is made of."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Panel:
    """One subject of the report: a figure or a table, and what lies behind it.

    Attributes
    ----------
    key : str
        Name of its files and anchor.
    title, caption : str
    svg : str
        The figure; empty without one.
    data : dict of str to polars.DataFrame
        The tables drawn, by name.
    rows : sequence of dict of str to str
        A table as the page shows it, text by heading, the same headings in every row.
    """

    key: str
    title: str
    caption: str
    svg: str
    data: Mapping[str, pl.DataFrame]
    rows: Sequence[Mapping[str, str]] = ()

    @property
    def downloads(self) -> dict[str, str]:
        """``data:`` links of the tables as CSV, by name."""
        return {name: csv_link(table) for name, table in self.data.items()}


def csv_link(table: pl.DataFrame) -> str:
    """A table as a ``data:`` link that a browser saves without any network."""
    return f"data:text/csv;base64,{base64.b64encode(table.write_csv().encode()).decode()}"


def once(rows: Sequence[Mapping[str, str]], headings: Sequence[str]) -> list[dict[str, str]]:
    """Rows whose first cells are blank where they repeat the row above, so that groups are seen."""
    shown = []
    above: Mapping[str, str] = {}
    for row in rows:
        new = [heading for heading in headings if row[heading] != above.get(heading)]
        first = headings.index(new[0]) if new else len(headings)
        shown.append({**row, **dict.fromkeys(headings[:first], "")})
        above = row
    return shown
