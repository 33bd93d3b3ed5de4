"""Axes and reference lines as plotly.js knows them."""

import math
from collections.abc import Mapping
from html import escape
from typing import Any

from analysis.charts.chart import Axis, Facet, Reference
from analysis.charts.colours import GRID_OF_PAGE, INK_OF_PAGE, MUTED_OF_PAGE
from analysis.charts.ticks import MOST_LABELS
from analysis.wording import count


def axis_layout(axis: Axis, labels: int) -> dict[str, Any]:
    """An axis with about so many labels."""
    drawn: dict[str, Any] = {
        "title": {"text": escape(axis.label), "font": {"size": 13}},
        "type": axis.scale,
        "gridcolor": GRID_OF_PAGE,
        "linecolor": MUTED_OF_PAGE,
        "tickcolor": MUTED_OF_PAGE,
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
            # Not a range: with one, plotly.js leaves the other axis of matching facets without its own.
            "autorangeoptions": {"include": [-0.5, len(axis.names) - 0.5]},
            "showgrid": False,
        }
    elif axis.counts:
        drawn["tickformat"] = "~s"
    else:
        drawn |= {"exponentformat": "power", "minexponent": 5}
    if axis.scale == "log":
        drawn |= _log_ticks(axis, labels)
    if axis.from_zero:
        drawn["rangemode"] = "tozero"
    return drawn


def stripe(row: int, place: str) -> Mapping[str, Any]:
    """What sets every other row of names apart, in the facet whose axes end in ``place``."""
    return {
        "type": "rect",
        "layer": "below",
        "xref": f"x{place} domain",
        "yref": f"y{place}",
        "x0": 0,
        "x1": 1,
        "y0": row - 0.5,
        "y1": row + 0.5,
        "fillcolor": GRID_OF_PAGE,
        "opacity": 0.35,
        "line": {"width": 0},
    }


def reference_line(reference: Reference, place: str) -> Mapping[str, Any]:
    """The line of a reference, across its facet."""
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
            "color": INK_OF_PAGE if reference.label else MUTED_OF_PAGE,
            "width": 1.2,
            "dash": "dash" if reference.label else "solid",
        },
    }


def reference_label(reference: Reference, facet: Facet, place: str) -> Mapping[str, Any]:
    """Its label. Annotations on a log axis stand at the logarithm; shapes at the value itself."""
    axis = facet.y if reference.along == "y" else facet.x
    value = math.log10(reference.value) if axis.scale == "log" else reference.value
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
        "font": {"color": INK_OF_PAGE, "size": 12},
    }


def _log_ticks(axis: Axis, labels: int) -> dict[str, Any]:
    """Counts at the axis's own values where they are few; else at 1, 2, 5 of each decade, or at decades."""
    if axis.zero:
        placed = axis.ticks_with_zero
        return {"tickmode": "array", "tickvals": list(placed), "ticktext": list(placed.values())}
    values = sorted(set(axis.values))
    if axis.counts and 0 < len(values) <= MOST_LABELS:
        return {"tickmode": "array", "tickvals": values, "ticktext": [count(value) for value in values]}
    decades = math.log10(values[-1] / values[0]) if values else 1.0
    return {"dtick": "D2" if 4 * decades < labels else math.ceil(decades / (labels - 1))}
