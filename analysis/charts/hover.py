"""What a point of a chart says when it is pointed at: its values, to six digits."""

from html import escape

from analysis.charts.chart import Axis, Facet
from analysis.charts.series import Band, Intervals, Series
from analysis.wording import significant

_DIGITS = 6


def hover_texts(series: Series, facet: Facet) -> list[str]:
    """A text (HTML of plotly.js) a point of a series: group, both values, interval and note."""
    if isinstance(series, Band):
        return []
    heading = [f"<b>{escape(part)}</b>" for part in (series.group,) if part]
    notes = getattr(series, "notes", ()) or [""] * len(series.x)
    texts = []
    for place, note in enumerate(notes):
        lines = [*heading, _value(facet.x, float(series.x[place])), _value(facet.y, float(series.y[place]))]
        if isinstance(series, Intervals):
            lines.append(_interval(float(series.low[place]), float(series.high[place])))
        texts.append("<br>".join([*lines, *([escape(note)] if note else [])]))
    return texts


def _value(axis: Axis, value: float) -> str:
    if axis.names:
        return escape(axis.names[min(max(round(value), 0), len(axis.names) - 1)])
    if axis.zero and value == axis.zero:
        return f"{escape(axis.label)}: 0"
    shown = f"{value:,.0f}" if axis.counts and value < 1e9 else significant(value, _DIGITS)
    return f"{escape(axis.label)}: {shown}"


def _interval(low: float, high: float) -> str:
    if not low <= high:
        return "no interval"
    return f"interval {significant(low, _DIGITS)} to {significant(high, _DIGITS)}"
