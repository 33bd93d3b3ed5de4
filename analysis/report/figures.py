"""The report's figures as charts, each of the very tables that the page offers to download."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import polars as pl

from analysis.charts.chart import Axis, Chart, Facet, Reference
from analysis.charts.series import Intervals, Line, Points, Series, bounded_band, floats
from analysis.charts.styles import Style, group_styles
from analysis.isoflop.budgets import near_values
from analysis.report.findings import of_arms
from analysis.report.loss_axes import LossAxis

# Sizes of two families that differ by less are one rung of their ladders.
_SAME_RUNG = 0.4


def chart_loss_by_size(
    points: pl.DataFrame,
    curves: pl.DataFrame,
    axes: Mapping[LossAxis, tuple[Reference, ...]],
    across: str,
) -> Chart:
    """Loss against parameters, a facet a measure: a point a run, the fitted law with its band.

    Parameters
    ----------
    points : polars.DataFrame
        ``arm``, ``parameters``, ``seed``, ``loss``.
    curves : polars.DataFrame
        ``arm``, ``parameters``, ``loss``, ``low``, ``high``.
    axes : dict of LossAxis to tuple of Reference
        What is drawn across the facet of each measure.
    across : str
        Label of the parameters.
    """
    facets = tuple(
        _size_facet(of_arms(points, axis.arms), curves, axis, lines, across) for axis, lines in axes.items()
    )
    label = "Loss against parameters, by arm"
    return Chart(label, facets, group_styles(in_order(points)), share_x=False, share_y=False, row_height=3.7)


def _size_facet(
    points: pl.DataFrame,
    curves: pl.DataFrame,
    axis: LossAxis,
    lines: tuple[Reference, ...],
    across: str,
) -> Facet:
    series: list[Series] = []
    for arm in in_order(points):
        of_arm, curve = (table.filter(pl.col("arm") == arm) for table in (points, curves))
        series += fitted_curve(curve, arm, "parameters", float(floats(of_arm, "parameters").max()))
        series.append(Points(arm, floats(of_arm, "parameters"), floats(of_arm, "loss"), _seed_notes(of_arm)))
    size = _size_axis(points, across)
    return Facet(size, Axis(axis.label), tuple(series), axis.title, lines)


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


def chart_gaps(
    gaps: pl.DataFrame, axes: Sequence[LossAxis], local: Collection[str], label: str, across: str
) -> Chart:
    """Loss above centralised training, in per cent, against parameters.

    Where training alone and federated training are both there, a second facet shows the federated
    arms on their own scale.

    Parameters
    ----------
    gaps : polars.DataFrame
        ``arm``, ``parameters``, ``percent``, ``percent_low``, ``percent_high``.
    axes : sequence of LossAxis
        Facets of each; all arms of the study are among theirs.
    local : collection of str
        Arms of training alone.
    label : str
        What a screen reader says.
    across : str
        Label of the parameters.
    """
    facets = []
    for axis in axes:
        of_axis = of_arms(gaps, axis.arms)
        federated = of_axis.filter(~pl.col("arm").is_in(list(local)))
        if 0 < len(federated) < len(of_axis):
            facets += [
                _gap_facet(of_axis, _titled(axis, "All arms"), across),
                _gap_facet(federated, _titled(axis, "Federated arms only"), across),
            ]
        elif len(of_axis):
            facets.append(_gap_facet(of_axis, axis.title, across))
    styles = group_styles([arm for axis in axes for arm in axis.arms])
    return Chart(label, tuple(facets), styles, share_x=False, share_y=False, row_height=2.8)


def _titled(axis: LossAxis, title: str) -> str:
    return f"{axis.title}: {title[0].lower()}{title[1:]}" if axis.title else title


def _gap_facet(gaps: pl.DataFrame, title: str, across: str) -> Facet:
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
        _size_axis(gaps, across),
        Axis("Loss above centralised (%)", from_zero=True),
        tuple(series),
        title,
        (Reference(0.0),),
    )


def _size_axis(table: pl.DataFrame, across: str) -> Axis:
    """The axis of parameters, labelled at the sizes of a rung: two families' are one label."""
    sizes = np.unique(floats(table, "parameters"))
    _, first = np.unique(near_values(sizes, _SAME_RUNG), return_index=True)
    return Axis(across, "log", counts=True, values=tuple(sizes[first]))


def chart_sites(sites: pl.DataFrame, axes: Sequence[LossAxis], styles: Mapping[str, Style]) -> Chart:
    """Held-out loss at each site, a facet a measure, a row a site and a mark an arm.

    Parameters
    ----------
    sites : polars.DataFrame
        ``arm``, ``site``, ``loss``, ``low``, ``high`` (smallest and largest over seeds).
    axes : sequence of LossAxis
    styles : dict of str to Style
        By arm.
    """
    facets = [_site_facet(of_axis, axis) for axis in axes if len(of_axis := of_arms(sites, axis.arms))]
    marks = max(len(facet.series) for facet in facets)
    names = max(len(facet.y.names) for facet in facets)
    height = 0.7 + max(0.34, 0.07 * marks) * names
    return Chart(
        "Loss at each site, by arm", tuple(facets), styles, share_x=False, share_y=False, row_height=height
    )


def _site_facet(sites: pl.DataFrame, axis: LossAxis) -> Facet:
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
    return Facet(Axis(axis.label), Axis("", names=tuple(names)), tuple(series), axis.title)


def in_order(table: pl.DataFrame) -> list[str]:
    """Arms in the order in which they appear."""
    arms: list[str] = table["arm"].unique(maintain_order=True).to_list()
    return arms


def _seed_notes(table: pl.DataFrame) -> tuple[str, ...]:
    return tuple(f"seed {seed}" for seed in table["seed"])
