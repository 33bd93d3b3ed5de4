"""A chart on a screen: what plotly.js is given to draw.

Colours of ink and paper stand as ``var(--ink)`` and the like, for the page to fill in with its own.
"""

import math
from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np

from analysis.charts.chart import Axis, Chart, Facet, Reference
from analysis.charts.hover import hover_texts
from analysis.charts.series import Band, Intervals, Line, Points, Series
from analysis.charts.styles import INK, Style
from analysis.charts.ticks import DECADES_FOR_POWERS_ALONE, MOST_LABELS
from analysis.wording import count

_INCH = 84
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
_INK, _MUTED, _GRID, _PAPER, _SOFT = (f"var(--{name})" for name in ("ink", "muted", "grid", "paper", "soft"))
_CLEAR = "rgba(0,0,0,0)"
_OPACITY = 0.18


def plotly_figure(chart: Chart) -> dict[str, Any]:
    """``data`` and ``layout`` of plotly.js, and ``rowHeight`` in pixels of a row of facets."""
    traces: list[dict[str, Any]] = []
    layout = _layout(chart)
    keys = _legend_keys(chart)
    ranks = {group: place for place, group in enumerate(chart.styles, start=1)}
    for number, facet in enumerate(chart.facets, start=1):
        place = "" if number == 1 else str(number)
        for series in facet.series:
            style, text = chart.styles[series.group], chart.legend.get(series.group, series.group)
            traces.append(
                _trace(series, style, facet, 6 if chart.crowded else 9)
                | {
                    "name": escape(text),
                    "legendgroup": series.group,
                    "legendrank": ranks[series.group],
                    "showlegend": id(series) in keys,
                    "xaxis": f"x{place}",
                    "yaxis": f"y{place}",
                }
            )
        _add_facet(layout, chart, facet, place)
    return {"data": traces, "layout": layout, "rowHeight": round(_INCH * chart.row_height)}


def _legend_keys(chart: Chart) -> set[int]:
    """The series that stands for its group in the legend: the first with marks, else the first line."""
    drawn = [series for facet in chart.facets for series in facet.series if not isinstance(series, Band)]
    marked = [series for series in drawn if not isinstance(series, Line)]
    first: dict[str, int] = {}
    for series in (*marked, *drawn):
        first.setdefault(series.group, id(series))
    return set(first.values()) if chart.legend else set()


def _layout(chart: Chart) -> dict[str, Any]:
    return {
        "font": {"family": "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif", "color": _INK},
        "paper_bgcolor": _CLEAR,
        "plot_bgcolor": _CLEAR,
        "hovermode": "closest",
        "hoverlabel": {"bgcolor": _SOFT, "bordercolor": _MUTED, "font": {"color": _INK}, "align": "left"},
        "legend": {
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 1,
            "yanchor": "bottom",
            "itemsizing": "constant",
        },
        "grid": {"rows": chart.rows, "columns": chart.columns, "pattern": "independent"},
        "shapes": [],
        "annotations": [],
        "uirevision": "kept",
        "modebar": {"bgcolor": _CLEAR, "color": _MUTED, "activecolor": _INK},
    }


def _add_facet(layout: dict[str, Any], chart: Chart, facet: Facet, place: str) -> None:
    labels = 4 if chart.columns > 2 else 8
    for letter, axis, shared in (("x", facet.x, chart.share_x), ("y", facet.y, chart.share_y)):
        layout[f"{letter}axis{place}"] = _axis(axis, labels) | (
            {"matches": letter} if shared and place else {}
        )
        if letter == "y" and axis.names:
            layout["shapes"] += [_stripe(row, place) for row in range(0, len(axis.names), 2)]
    for reference in facet.references:
        layout["shapes"].append(_reference_line(reference, place))
        if reference.label:
            layout["annotations"].append(_reference_label(reference, facet, place))
    if facet.title:
        layout["annotations"].append(
            {
                "text": f"<b>{escape(facet.title)}</b>",
                "xref": f"x{place} domain",
                "yref": f"y{place} domain",
                "x": 0,
                "y": 1,
                "xanchor": "left",
                "yanchor": "bottom",
                "showarrow": False,
                "font": {"color": _INK, "size": 12.5},
            }
        )


def _axis(axis: Axis, labels: int) -> dict[str, Any]:
    drawn: dict[str, Any] = {
        "title": {"text": escape(axis.label), "font": {"size": 13}},
        "type": axis.scale,
        "gridcolor": _GRID,
        "linecolor": _MUTED,
        "tickcolor": _MUTED,
        "ticks": "outside",
        "showline": True,
        "zeroline": False,
        "automargin": True,
        "nticks": labels + 1,
        "tickfont": {"size": 11.5},
    }
    if axis.names:
        drawn |= {
            "tickmode": "array",
            "tickvals": list(range(len(axis.names))),
            "ticktext": [escape(name) for name in axis.names],
            "range": [-0.5, len(axis.names) - 0.5],
            "showgrid": False,
        }
    elif axis.counts:
        drawn["tickformat"] = "~s"
    else:
        drawn["exponentformat"] = "power"
    if axis.scale == "log":
        drawn |= _log_ticks(axis, labels)
    if axis.from_zero:
        drawn["rangemode"] = "tozero"
    return drawn


def _log_ticks(axis: Axis, labels: int) -> dict[str, Any]:
    """At the axis's own values where they are few; else at 1, 2, 5 of each decade, or at decades."""
    values = sorted(set(axis.values))
    if 0 < len(values) <= MOST_LABELS:
        texts = [count(value) for value in values] if axis.counts else None
        return {"tickmode": "array", "tickvals": values} | ({"ticktext": texts} if texts else {})
    decades = math.log10(values[-1] / values[0]) if values else 1.0
    return {"dtick": "D2" if decades < DECADES_FOR_POWERS_ALONE else math.ceil(decades / (labels - 1))}


def _trace(series: Series, style: Style, facet: Facet, size: float) -> dict[str, Any]:
    colour = _INK if style.colour == INK else style.colour
    marker = {
        "color": colour,
        "symbol": _SYMBOLS[style.marker],
        "size": size,
        "line": {"color": _PAPER, "width": 0.8},
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
        case Intervals(x=x, y=y, low=low, high=high):
            middle = y if series.along == "y" else x
            drawn = {
                "mode": "lines+markers" if series.joined else "markers",
                "marker": marker,
                "line": line,
                f"error_{series.along}": {
                    "type": "data",
                    "symmetric": False,
                    "array": np.nan_to_num(high - middle).clip(min=0).tolist(),
                    "arrayminus": np.nan_to_num(middle - low).clip(min=0).tolist(),
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


def _stripe(row: int, place: str) -> Mapping[str, Any]:
    return {
        "type": "rect",
        "layer": "below",
        "xref": f"x{place} domain",
        "yref": f"y{place}",
        "x0": 0,
        "x1": 1,
        "y0": row - 0.5,
        "y1": row + 0.5,
        "fillcolor": _GRID,
        "opacity": 0.35,
        "line": {"width": 0},
    }


def _reference_line(reference: Reference, place: str) -> Mapping[str, Any]:
    other = "x" if reference.along == "y" else "y"
    return {
        "type": "line",
        "xref": f"x{place}{' domain' if other == 'x' else ''}",
        "yref": f"y{place}{' domain' if other == 'y' else ''}",
        f"{other}0": 0,
        f"{other}1": 1,
        f"{reference.along}0": reference.value,
        f"{reference.along}1": reference.value,
        "line": {
            "color": _INK if reference.label else _MUTED,
            "width": 1.2,
            "dash": "dash" if reference.label else "solid",
        },
    }


def _reference_label(reference: Reference, facet: Facet, place: str) -> Mapping[str, Any]:
    """Annotations on a log axis stand at the logarithm; shapes at the value itself."""
    axis = facet.y if reference.along == "y" else facet.x
    value = float(np.log10(reference.value)) if axis.scale == "log" else reference.value
    across = reference.along == "y"
    return {
        "text": escape(reference.label),
        "xref": f"x{place}{' domain' if across else ''}",
        "yref": f"y{place}{'' if across else ' domain'}",
        "x": 0.01 if across else value,
        "y": value if across else 0.98,
        "xanchor": "left",
        "yanchor": "bottom" if across else "top",
        "showarrow": False,
        "font": {"color": _INK, "size": 12},
    }
