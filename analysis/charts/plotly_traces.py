"""Series as traces of plotly.js."""

from typing import Any

from analysis.charts.chart import Facet
from analysis.charts.colours import INK, INK_OF_PAGE, PAPER_OF_PAGE
from analysis.charts.hover import hover_texts
from analysis.charts.series import Band, Intervals, Line, Points, Series
from analysis.charts.styles import Style

_SYMBOLS = {
    "o": "circle",
    "s": "square",
    "D": "diamond",
    "^": "triangle-up",
    "v": "triangle-down",
    "P": "cross",
    "X": "x",
    "<": "triangle-left",
}
_OPACITY = 0.18


def series_trace(series: Series, style: Style, facet: Facet, size: float) -> dict[str, Any]:
    """A series of a facet, its marks of some pixels, without what places it in a figure."""
    colour = INK_OF_PAGE if style.colour == INK else style.colour
    marker = {
        "color": colour,
        "symbol": _SYMBOLS[style.marker],
        "size": size,
        "line": {"color": PAPER_OF_PAGE, "width": 0.8},
    }
    line = {"color": colour, "width": 2}
    match series:
        case Points():
            drawn: dict[str, Any] = {"mode": "markers", "marker": marker}
        case Line():
            drawn = {"mode": "lines", "line": line | {"dash": "dot" if series.dotted else "solid"}}
        case Band(x=x, low=low, high=high):
            return {
                "type": "scatter",
                "mode": "lines",
                "x": [*x.tolist(), *x[::-1].tolist()],
                "y": [*low.tolist(), *high[::-1].tolist()],
                "fill": "toself",
                "fillcolor": _translucent(style.colour),
                "line": {"width": 0},
                "hoverinfo": "skip",
            }
        case Intervals(whiskers=whiskers):
            drawn = {
                "mode": "lines+markers" if series.joined else "markers",
                "marker": marker,
                "line": line,
                f"error_{series.along}": {
                    "type": "data",
                    "symmetric": False,
                    "array": whiskers[1].tolist(),
                    "arrayminus": whiskers[0].tolist(),
                    "color": colour,
                    "thickness": 1.5,
                    "width": 4,
                },
            }
    return {
        "type": "scatter",
        "x": (series.places if isinstance(series, Intervals) else series.x).tolist(),
        "y": series.y.tolist(),
        "text": hover_texts(series, facet),
        "hovertemplate": "%{text}<extra></extra>",
        **drawn,
    }


def _translucent(colour: str) -> str:
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{_OPACITY})"
