"""Charts as files for a paper: PDF, SVG and PNG."""

import io
from pathlib import Path

import matplotlib as mpl

from analysis.charts.chart import Chart
from analysis.charts.matplotlib_figure import STYLE, draw_chart
from analysis.charts.svg import svg_text
from wardlaw.files import write_bytes_atomically, write_text_atomically

_DOTS_PER_INCH = 300


def write_figure(chart: Chart, folder: Path, name: str) -> None:
    """Write ``<name>.pdf``, ``.svg`` and ``.png`` (300 dpi, white) to a folder: the same bytes each time."""
    figure = draw_chart(chart)
    write_text_atomically(folder / f"{name}.svg", svg_text(figure, name))
    for kind, metadata in (("pdf", "CreationDate"), ("png", "Software")):
        buffer = io.BytesIO()
        with mpl.rc_context(STYLE):
            figure.savefig(
                buffer, format=kind, dpi=_DOTS_PER_INCH, facecolor="white", metadata={metadata: None}
            )
        write_bytes_atomically(folder / f"{name}.{kind}", buffer.getvalue())
