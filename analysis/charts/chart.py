"""A chart as data: what is drawn, known before anything draws it.

Two renderers read it: ``matplotlib_figure`` for paper and ``plotly_figure`` for the screen. Neither
knows what the numbers are about.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from analysis.charts.series import Points, Series
from analysis.charts.styles import Style

_MOST_COLUMNS = 4
# Letters of a title that four columns have room for.
_LONG_TITLE = 26
_CROWD = 100
_MOST_VALUES = 8
# Of an axis between two labels, in which a number like 0.0004 has room.
_LEAST_GAP = 1 / 7


@dataclass(frozen=True)
class Axis:
    """One axis of a facet.

    Attributes
    ----------
    label : str
        Quantity and unit.
    scale : {"linear", "log"}
    counts : bool
        Whether its numbers are counts, shortened to 40 K or 1.2 G.
    values : tuple of float
        Values that a log axis holds; counts are labelled at them, where they are few enough.
    names : tuple of str
        Names of the positions 0, 1, ..., where it has no numbers.
    from_zero : bool
        Whether zero is always in sight.
    zero : float
        Where zero stands on a log axis, which then is labelled at its values, or at decades; 0 for nowhere.
    """

    label: str
    scale: Literal["linear", "log"] = "linear"
    counts: bool = False
    values: tuple[float, ...] = ()
    names: tuple[str, ...] = ()
    from_zero: bool = False
    zero: float = 0.0

    @property
    def ticks_with_zero(self) -> dict[float, str]:
        """Labels of a log axis that has a place for zero: at its values, as far as they have room."""
        values = sorted({value for value in self.values if value != self.zero})
        if len(values) > _MOST_VALUES:
            first, last = (math.log10(end) for end in (values[0], values[-1]))
            values = [10.0**decade for decade in range(math.ceil(first), math.floor(last) + 1)]
        apart = _LEAST_GAP * math.log10(values[-1] / self.zero) if values else 0.0
        kept: list[float] = []
        for value in reversed(values):
            if math.log10(min([*kept, math.inf]) / value) >= apart:
                kept.append(value)
        return {self.zero: "0"} | {value: f"{value:.3g}" for value in reversed(kept)}


@dataclass(frozen=True)
class Reference:
    """A value to compare with, drawn across the facet along the other axis; ``label`` may be empty."""

    value: float
    label: str = ""
    along: Literal["x", "y"] = "y"


@dataclass(frozen=True)
class Facet:
    """One set of axes."""

    x: Axis
    y: Axis
    series: tuple[Series, ...]
    title: str = ""
    references: tuple[Reference, ...] = ()

    @property
    def marks(self) -> int:
        """Points that are drawn."""
        return sum(len(series.x) for series in self.series if isinstance(series, Points))


@dataclass(frozen=True)
class Chart:
    """Facets with one legend.

    Attributes
    ----------
    label : str
        What a screen reader says.
    facets : tuple of Facet
    styles : dict of str to Style
        Colour and marker of each group, in the order of the legend.
    share_x, share_y : bool
        Whether facets share the range of an axis.
    row_height : float
        Inches of a row of facets.
    unit : str
        What the first entry of the legend is followed by, say "parameters".
    with_legend : bool
        Whether the groups are named above the facets, and not by an axis.
    """

    label: str
    facets: tuple[Facet, ...]
    styles: Mapping[str, Style]
    share_x: bool = True
    share_y: bool = True
    row_height: float = 2.7
    unit: str = ""
    with_legend: bool = True

    @property
    def crowded(self) -> bool:
        """Whether some facet has so many marks that all must be small."""
        return any(facet.marks > _CROWD for facet in self.facets)

    @property
    def columns(self) -> int:
        """Facets side by side: at most four, or three where that leaves fewer gaps or titles are long."""
        long = any(len(facet.title) > _LONG_TITLE for facet in self.facets)
        return min(len(self.facets), 3 if long or len(self.facets) in (5, 6, 9) else _MOST_COLUMNS)

    @property
    def rows(self) -> int:
        """Facets one below another."""
        return -(-len(self.facets) // self.columns)

    @property
    def legend(self) -> dict[str, str]:
        """Text of each group that is drawn; empty where nothing is to be told apart, or an axis does it."""
        drawn = {series.group for facet in self.facets for series in facet.series}
        shown = [group for group in self.styles if group in drawn]
        if shown in ([], [""]) or not self.with_legend:
            return {}
        return {
            group: f"{group} {self.unit}".strip() if place == 0 else group
            for place, group in enumerate(shown)
        }

    @property
    def x_label(self) -> str:
        """Label that all facets share across; empty where they differ."""
        return _shared({facet.x.label for facet in self.facets})

    @property
    def y_label(self) -> str:
        """Label that all facets share upwards; empty where they differ."""
        return _shared({facet.y.label for facet in self.facets})


def _shared(labels: set[str]) -> str:
    return labels.pop() if len(labels) == 1 else ""
