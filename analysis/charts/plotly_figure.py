"""A chart on a screen: what plotly.js is given to draw.

Colours of ink and paper stand as ``var(--ink)`` and the like, for the page to fill in with its own.
"""

from html import escape
from typing import Any

from analysis.charts.chart import Chart, Facet
from analysis.charts.colours import INK_OF_PAGE, MUTED_OF_PAGE, SOFT_OF_PAGE
from analysis.charts.plotly_axes import axis_layout, reference_label, reference_line, stripe
from analysis.charts.plotly_traces import series_trace
from analysis.charts.series import Band, Line

_INCH = 84
_CLEAR = "rgba(0,0,0,0)"


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
                series_trace(series, style, facet, 6 if chart.crowded else 9)
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
        "font": {
            "family": "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif",
            "color": INK_OF_PAGE,
        },
        "paper_bgcolor": _CLEAR,
        "plot_bgcolor": _CLEAR,
        "hovermode": "closest",
        "hoverlabel": {
            "bgcolor": SOFT_OF_PAGE,
            "bordercolor": MUTED_OF_PAGE,
            "font": {"color": INK_OF_PAGE},
            "align": "left",
        },
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
        "modebar": {"bgcolor": _CLEAR, "color": MUTED_OF_PAGE, "activecolor": INK_OF_PAGE},
    }


def _add_facet(layout: dict[str, Any], chart: Chart, facet: Facet, place: str) -> None:
    labels = 4 if chart.columns > 2 else 8
    for letter, axis, shared in (("x", facet.x, chart.share_x), ("y", facet.y, chart.share_y)):
        layout[f"{letter}axis{place}"] = axis_layout(axis, labels) | (
            {"matches": letter} if shared and place else {}
        )
        if letter == "y" and axis.names:
            layout["shapes"] += [stripe(row, place) for row in range(0, len(axis.names), 2)]
    for reference in facet.references:
        layout["shapes"].append(reference_line(reference, place))
        if reference.label:
            layout["annotations"].append(reference_label(reference, facet, place))
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
                "font": {"color": INK_OF_PAGE, "size": 12.5},
            }
        )
