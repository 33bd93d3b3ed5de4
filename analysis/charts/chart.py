"""A chart as data: what is drawn, known before anything draws it.

Two renderers read it: ``matplotlib_figure`` for paper and ``plotly_figure`` for the screen. Neither
knows what the numbers are about.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from analysis.charts.series import Series
from analysis.charts.styles import Style

MOST_COLUMNS = 4


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
        Values to label on a log axis, where they are few enough.
    names : tuple of str
        Names of the positions 0, 1, ..., where it has no numbers.
    from_zero : bool
        Whether zero is always in sight.
    """

    label: str
    scale: Literal["linear", "log"] = "linear"
    counts: bool = False
    values: tuple[float, ...] = ()
    names: tuple[str, ...] = ()
    from_zero: bool = False


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
    same_scales : bool
        Whether facets share their axes.
    row_height : float
        Inches of a row of facets.
    unit : str
        What the first entry of the legend is followed by, say "parameters".
    """

    label: str
    facets: tuple[Facet, ...]
    styles: Mapping[str, Style]
    same_scales: bool = True
    row_height: float = 2.7
    unit: str = ""

    @property
    def columns(self) -> int:
        """Facets side by side."""
        return min(len(self.facets), MOST_COLUMNS)

    @property
    def rows(self) -> int:
        """Facets one below another."""
        return -(-len(self.facets) // self.columns)

    @property
    def legend(self) -> dict[str, str]:
        """Text of each group that is drawn; empty where there is nothing to tell apart."""
        drawn = {series.group for facet in self.facets for series in facet.series}
        shown = [group for group in self.styles if group in drawn]
        if shown in ([], [""]):
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
