"""A chart on paper, drawn by Matplotlib."""

from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis as DrawnAxis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.charts.chart import Axis, Chart, Facet, Reference
from analysis.charts.colours import GRID, INK, MUTED, PAPER
from analysis.charts.series import Band, Intervals, Line, Points, Series
from analysis.charts.styles import Style
from analysis.charts.ticks import linear_counts, log_ticks

_WIDTH = 8.4
# What fits across a figure.
_LETTERS = 110
_LABEL_SIZE = 9.5

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "font.size": _LABEL_SIZE,
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
    "axes.titlesize": _LABEL_SIZE,
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
    "lines.linewidth": 1.4,
}


def draw_chart(chart: Chart) -> Figure:
    """The chart as a figure of a column's width (8.4 inches)."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(_WIDTH, chart.rows * chart.row_height + 0.6))
        drawn = figure.subplots(
            chart.rows, chart.columns, sharex=chart.share_x, sharey=chart.share_y, squeeze=False
        ).ravel()
        for axes, facet in zip(drawn, chart.facets, strict=False):
            _draw_facet(axes, facet, chart)
        for axes in drawn[len(chart.facets) :]:
            axes.set_visible(False)
        for axes in drawn[max(0, len(chart.facets) - chart.columns) : len(chart.facets)]:
            # Matplotlib labels shared axes in the last row alone, which may have gaps.
            axes.tick_params(labelbottom=True)
        if len(chart.facets) > 1:
            figure.supxlabel(chart.x_label, fontsize=_LABEL_SIZE)
            figure.supylabel(chart.y_label, fontsize=_LABEL_SIZE)
        _draw_legend(figure, chart)
    return figure


def _draw_facet(axes: Axes, facet: Facet, chart: Chart) -> None:
    for series in facet.series:
        _draw_series(axes, series, chart.styles[series.group], 4 if chart.crowded else 6)
    for reference in facet.references:
        _draw_reference(axes, reference)
    inches = _WIDTH / chart.columns * 0.85, chart.row_height * 0.8
    for axis, drawn, length in zip((facet.x, facet.y), (axes.xaxis, axes.yaxis), inches, strict=True):
        _set_scale(axes, drawn, axis, length)
    axes.set_title(facet.title)
    alone = len(chart.facets) == 1
    axes.set_xlabel(facet.x.label if alone or not chart.x_label else "")
    axes.set_ylabel(facet.y.label if alone or not chart.y_label else "")


def _draw_series(axes: Axes, series: Series, style: Style, size: float) -> None:
    match series:
        case Points(x=x, y=y):
            axes.plot(
                x,
                y,
                style.marker,
                color=style.colour,
                markeredgecolor=PAPER,
                markeredgewidth=0.6,
                markersize=size,
                zorder=3,
            )
        case Line(x=x, y=y):
            axes.plot(x, y, ":" if series.dotted else "-", color=style.colour)
        case Band(x=x, low=low, high=high):
            axes.fill_between(x, low, high, color=style.colour, alpha=0.18, linewidth=0)
        case Intervals(y=y, whiskers=whiskers):
            axes.errorbar(
                series.places,
                y,
                yerr=whiskers if series.along == "y" else None,
                xerr=whiskers if series.along == "x" else None,
                fmt=f"{style.marker}{'-' if series.joined else ''}",
                color=style.colour,
                markersize=5,
                capsize=2.5,
                linewidth=1.2,
            )


def _draw_reference(axes: Axes, reference: Reference) -> None:
    across = reference.along == "y"
    draw = axes.axhline if across else axes.axvline
    if not reference.label:
        draw(reference.value, color=MUTED, linewidth=1)
        return
    draw(reference.value, color=INK, linewidth=1.1, linestyle=(0, (5, 3)))
    place = (0.01, reference.value) if across else (reference.value, 0.98)
    axes.annotate(
        reference.label,
        place,
        xycoords=("axes fraction", "data") if across else ("data", "axes fraction"),
        xytext=(0, 3) if across else (4, 0),
        textcoords="offset points",
        verticalalignment="baseline" if across else "top",
        fontsize=8.5,
        color=INK,
    )


def _set_scale(axes: Axes, drawn: DrawnAxis, axis: Axis, inches: float) -> None:
    upright = drawn is axes.yaxis
    limits = axes.set_ylim if upright else axes.set_xlim
    if axis.names:
        span = axes.axhspan if upright else axes.axvspan
        if upright:
            for place in range(0, len(axis.names), 2):
                span(place - 0.5, place + 0.5, color=GRID, alpha=0.35, linewidth=0)
            axes.grid(visible=False, axis="y")
        drawn.set_ticks(range(len(axis.names)), list(axis.names))
        limits(-0.5, len(axis.names) - 0.5)
    elif axis.scale == "log":
        (axes.set_yscale if upright else axes.set_xscale)("log")
        if len(set(axis.values)) == 1:
            limits(axis.values[0] / 2, axis.values[0] * 2)
        low, high = axes.get_ylim() if upright else axes.get_xlim()
        log_ticks(drawn, axis, low, high, inches)
    elif axis.counts:
        linear_counts(drawn)
    if axis.from_zero:
        low, high = axes.get_ylim() if upright else axes.get_xlim()
        limits(min(0.0, low), max(0.0, high))


def _draw_legend(figure: Figure, chart: Chart) -> None:
    """All groups above the axes, in as many columns as their names leave room for."""
    if not chart.legend:
        return
    marked = {
        series.group
        for facet in chart.facets
        for series in facet.series
        if isinstance(series, Points | Intervals)
    }
    handles = [
        Line2D(
            [],
            [],
            color=chart.styles[group].colour,
            marker=chart.styles[group].marker if group in marked else "",
            markersize=6,
            label=text,
        )
        for group, text in chart.legend.items()
    ]
    longest = max(map(len, chart.legend.values()))
    figure.legend(handles=handles, loc="outside upper left", ncols=max(1, _LETTERS // (longest + 5)))
