"""Matplotlib figures as SVG that lives inside a page: its text, colours and width are the page's."""

import io
import re
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

# Colours that the page replaces by its own, so that a figure follows a dark or a light page.
INK, MUTED, GRID, PAPER = "#101820", "#57606b", "#d6dbe1", "#fefefd"
_VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--grid", PAPER: "--paper"}

# Okabe and Ito's colours (without black and yellow, which vanish on one of the pages), and a shape for
# each, so that arms differ in grey print too.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6BB1", "#7F7F7F")
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "<")

WIDTH = 8.4

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 9.5,
    "font.family": "DejaVu Sans",
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "figure.constrained_layout.use": True,
    "lines.linewidth": 1.6,
}


def inline_svg(figure: Figure, name: str, label: str) -> str:
    """The figure as an ``<svg>`` element whose ids start with ``name``.

    Parameters
    ----------
    figure : Figure
        Drawn under ``STYLE``.
    name : str
        Unique on the page.
    label : str
        What a screen reader says.
    """
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with mpl.rc_context(STYLE | {"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata=nothing)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\sid="([^"]+)"', rf' id="{name}-\1"', svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    svg = re.sub(r"'DejaVu Sans'", "'DejaVu Sans', system-ui, sans-serif", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    svg = re.sub(r'\s(width|height)="[\d.]+pt"', "", svg, count=2)
    attributes = f'role="img" aria-label="{label}"'
    return svg.replace("<svg", f"<svg {attributes}", 1)
