"""Drawn charts as SVG: a file of its own, or part of a page that lends it its text and colours."""

import io
import re
from html import escape

import matplotlib as mpl
from matplotlib.figure import Figure

from analysis.charts.colours import GRID, INK, MUTED, PAPER
from analysis.charts.matplotlib_figure import STYLE

# Colours that a page replaces by its own, so that a figure follows a dark or a light page.
_VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--grid", PAPER: "--paper"}


def svg_text(figure: Figure, name: str) -> str:
    """The figure as SVG, the same bytes each time.

    Parameters
    ----------
    figure : Figure
        From ``draw_chart``.
    name : str
        What its ids are made from.
    """
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with mpl.rc_context(STYLE | {"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata=nothing)
    svg = re.sub(r"<metadata>.*?</metadata>", "", buffer.getvalue(), flags=re.DOTALL)
    return svg.replace("'DejaVu Sans'", "'DejaVu Sans', system-ui, sans-serif")


def inline_svg(svg: str, name: str, label: str) -> str:
    """An ``<svg>`` element for a page, whose ids start with ``name``.

    Parameters
    ----------
    svg : str
        From ``svg_text``.
    name : str
        Unique on the page.
    label : str
        What a screen reader says.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'\sid="([^"]+)"', rf' id="{name}-\1"', svg)
    svg = svg.replace('href="#', f'href="#{name}-').replace("url(#", f"url(#{name}-")
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    svg = re.sub(r'\s(width|height)="[\d.]+pt"', "", svg, count=2)
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(label)}"', 1)
