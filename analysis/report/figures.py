"""The report's figures as charts, each of the very tables that the page offers to download."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from analysis.charts.chart import Axis, Chart, Facet, Reference
from analysis.charts.series import Intervals, Line, Points, Series, bounded_band, floats
from analysis.charts.styles import Style, group_styles
from analysis.tables.arms import LOCAL

_SIZE = "Parameters N (embeddings included)"


def chart_loss_by_size(points: pl.DataFrame, curves: pl.DataFrame, up: str, floor: float | None) -> Chart:
    """Loss against parameters: a point a run, the fitted law with its band.

    Parameters
    ----------
    points : polars.DataFrame
        ``arm``, ``parameters``, ``seed``, ``loss``.
    curves : polars.DataFrame
        ``arm``, ``parameters``, ``loss``, ``low``, ``high``.
    up : str
        Label of the loss.
    floor : float or None
        Irreducible loss of the generating process.
    """
    arms = in_order(points)
    largest = float(floats(points, "parameters").max())
    series: list[Series] = []
    for arm in arms:
        of_arm, curve = (table.filter(pl.col("arm") == arm) for table in (points, curves))
        series += fitted_curve(curve, arm, "parameters", largest)
        series.append(Points(arm, floats(of_arm, "parameters"), floats(of_arm, "loss"), _seed_notes(of_arm)))
    facet = Facet(
        Axis(_SIZE, "log", counts=True, values=tuple(floats(points, "parameters"))),
        Axis(up),
        tuple(series),
        references=() if floor is None else (Reference(floor, "irreducible loss of the generating process"),),
    )
    return Chart("Loss against parameters, by arm", (facet,), group_styles(arms), row_height=3.7)


def fitted_curve(curve: pl.DataFrame, group: str, across: str, largest: float) -> list[Series]:
    """A fitted curve (``across``, ``loss``, ``low``, ``high``) with its band, dotted beyond ``largest``."""
    if curve.is_empty():
        return []
    x, y, low, high = (floats(curve, name) for name in (across, "loss", "low", "high"))
    last = int(np.searchsorted(x, largest, side="right"))
    series: list[Series] = [Line(group, x[:last], y[:last])]
    if last < len(x):
        series.append(Line(group, x[max(0, last - 1) :], y[max(0, last - 1) :], dotted=True))
    return [*bounded_band(group, x, low, high), *series]


def chart_gaps(gaps: pl.DataFrame, styles: Mapping[str, Style], label: str) -> Chart:
    """Loss above centralised training, in per cent, against parameters.

    Where training alone and federated training are both there, a second facet shows the federated
    arms on their own scale.

    Parameters
    ----------
    gaps : polars.DataFrame
        ``arm``, ``parameters``, ``percent``, ``percent_low``, ``percent_high``.
    styles : dict of str to Style
        By arm.
    label : str
        What a screen reader says.
    """
    federated = gaps.filter(pl.col("arm") != LOCAL)
    facets = [_gap_facet(gaps, "")]
    if 0 < len(federated) < len(gaps):
        facets = [_gap_facet(gaps, "All arms"), _gap_facet(federated, "Federated arms only")]
    return Chart(label, tuple(facets), styles, share_x=False, share_y=False, row_height=2.8)


def _gap_facet(gaps: pl.DataFrame, title: str) -> Facet:
    arms = in_order(gaps)
    series = []
    for place, arm in enumerate(arms):
        of_arm = gaps.filter(pl.col("arm") == arm)
        size, middle, low, high = (
            floats(of_arm, name) for name in ("parameters", "percent", "percent_low", "percent_high")
        )
        aside = 1.05 ** (place - (len(arms) - 1) / 2)
        series.append(Intervals(arm, size, middle, low, high, joined=True, aside=aside))
    return Facet(
        Axis(_SIZE, "log", counts=True, values=tuple(floats(gaps, "parameters"))),
        Axis("Loss above centralised (%)", from_zero=True),
        tuple(series),
        title,
        (Reference(0.0),),
    )


def chart_sites(sites: pl.DataFrame, across: str, styles: Mapping[str, Style]) -> Chart:
    """Held-out loss at each site, a row a site and a mark an arm.

    Parameters
    ----------
    sites : polars.DataFrame
        ``arm``, ``site``, ``loss``, ``low``, ``high`` (smallest and largest over seeds).
    across : str
        Label of the loss.
    styles : dict of str to Style
        By arm.
    """
    names = sites.group_by("site").agg(pl.col("loss").mean()).sort("loss", "site")["site"].to_list()
    arms = in_order(sites)
    series = []
    for place, arm in enumerate(arms):
        of_arm = sites.filter(pl.col("arm") == arm)
        rows = np.array([float(names.index(site)) for site in of_arm["site"]])
        rows += 0.5 * (place / max(1, len(arms) - 1) - 0.5)
        series.append(
            Intervals(
                arm, floats(of_arm, "loss"), rows, floats(of_arm, "low"), floats(of_arm, "high"), along="x"
            )
        )
    facet = Facet(Axis(across), Axis("", names=tuple(names)), tuple(series))
    height = 0.7 + max(0.34, 0.07 * len(arms)) * len(names)
    return Chart("Loss at each site, by arm", (facet,), styles, row_height=height)


def in_order(table: pl.DataFrame) -> list[str]:
    """Arms in the order in which they appear."""
    arms: list[str] = table["arm"].unique(maintain_order=True).to_list()
    return arms


def _seed_notes(table: pl.DataFrame) -> tuple[str, ...]:
    return tuple(f"seed {seed}" for seed in table["seed"])
