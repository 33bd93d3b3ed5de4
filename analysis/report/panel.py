"""What every panel of a report is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from analysis.charts.chart import Chart
from analysis.charts.matplotlib_figure import draw_chart
from analysis.charts.svg import svg_text


@dataclass(frozen=True)
class Panel:
    """One subject of a report: a figure or a table, and what lies behind it.

    Attributes
    ----------
    key : str
        Name of its files and anchor.
    title, caption : str
    chart : Chart or None
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
    chart: Chart | None
    data: Mapping[str, pl.DataFrame]
    rows: Sequence[Mapping[str, str]] = ()
    labels: Sequence[str] = ()

    @cached_property
    def svg(self) -> str:
        """The chart as an SVG file; empty without one."""
        return svg_text(draw_chart(self.chart), self.key) if self.chart else ""

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
