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
        A table to read, text by heading, the same headings in every row.
    labels : sequence of str
        The first of these headings: what a row is about.
    """

    key: str
    title: str
    caption: str
    svg: str
    data: Mapping[str, pl.DataFrame]
    rows: Sequence[Mapping[str, str]] = ()
    labels: Sequence[str] = ()

    @property
    def grouped_rows(self) -> list[dict[str, str]]:
        """The rows, their labels blank where they repeat the row above."""
        shown = [dict(row) for row in self.rows]
        for row, above in zip(shown[1:], self.rows, strict=False):
            for heading in self.labels:
                if row[heading] != above[heading]:
                    break
                row[heading] = ""
        return shown

    @property
    def downloads(self) -> dict[str, str]:
        """``data:`` links of the tables as CSV, by name."""
        return {name: csv_link(table) for name, table in self.data.items()}


def csv_link(table: pl.DataFrame) -> str:
    """A table as a ``data:`` link that a browser saves without any network."""
    return f"data:text/csv;base64,{base64.b64encode(table.write_csv().encode()).decode()}"
