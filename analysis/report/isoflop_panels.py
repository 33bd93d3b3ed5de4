"""The panels about the optimal allocation of compute."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from analysis.charts.chart import Axis, Chart, Facet
from analysis.charts.colours import INK
from analysis.charts.series import Intervals, Line, Points, Series, bounded_band, floats
from analysis.charts.styles import Style, group_styles, ordered_styles
from analysis.isoflop.frames import curve_frame, line_frame, optimum_frame, point_frame
from analysis.isoflop.study import IsoFlop
from analysis.report.panel import Panel
from analysis.uncertainty.interval_text import interval_text

_LINE_POINTS = 30
# What a parabola needs.
_SIZES = 3
_MOST_NAMED = 16
_OPTIMUM = "optimum"
_QUANTITIES = {"size": "Optimal parameters N*", "tokens": "Optimal tokens D*"}


def isoflop_panels(studies: Sequence[IsoFlop]) -> list[Panel]:
    """Losses of each budget with their parabolas, and the optima against compute."""
    return [_budgets(studies), _optima(studies)] if studies else []


def _budgets(studies: Sequence[IsoFlop]) -> Panel:
    points = _by_group(studies, [_points(study) for study in studies])
    curves = _by_group(studies, [curve_frame(study.optima) for study in studies])
    optima = _by_group(studies, [_optimum_rows(study) for study in studies])
    settings = studies[0].request
    loss = "loss" if settings.scale == "raw" else "log loss"
    return Panel(
        "isoflop",
        "Loss against parameters at equal compute",
        "A shade, dark to light, is a budget of compute: runs that differ by at most "
        f"{100 * settings.tolerance:g} % in it. Lines: parabolas of the {loss} in log N through the runs "
        "about the lowest, dotted where the optimum was refused. Crosses: the optimum with its 95 % "
        "interval. Budgets of fewer than three sizes have no parabola and are not drawn.",
        _chart_budgets(points, curves, optima),
        {"runs": points, "parabolas": curves, "optima": optima},
    )


def _optima(studies: Sequence[IsoFlop]) -> Panel:
    optima = _by_group(studies, [_optimum_rows(study) for study in studies])
    lines = _by_group(studies, [_lines(study) for study in studies])
    return Panel(
        "allocation",
        "Optimal parameters and tokens against compute",
        "Crosses: the optimum of each budget by its parabola, with its 95 % interval. Lines: N* = k C^a and "
        "D* = k' C^b by each approach of arXiv 2203.15556, with their bands: 1, the lower envelope of the "
        "losses; 2, through the optima; 3, from the fitted Chinchilla law. They hold the noise of the losses "
        "and no bias of an approach.",
        _chart_optima(optima, lines),
        {"optima": optima, "lines": lines},
        [row for study in studies for row in _rows(study)],
        ["Group", "Approach"] if any(study.group for study in studies) else ["Approach"],
    )


def _chart_budgets(points: pl.DataFrame, curves: pl.DataFrame, optima: pl.DataFrame) -> Chart:
    """A facet a group and a shade a budget; the tables are those of ``isoflop.frames`` with ``group``."""
    budgets = sorted(points["compute"].unique())
    names = {budget: f"{budget:.2e}" for budget in budgets}
    x = Axis("Parameters N", "log", counts=True, values=tuple(floats(points, "size")))
    facets = []
    for group in points["group"].unique(maintain_order=True):
        series: list[Series] = []
        for budget in points.filter(pl.col("group") == group)["compute"].unique(maintain_order=True):
            here = (pl.col("group") == group) & (pl.col("compute") == budget)
            run, curve = points.filter(here), curves.filter(here)
            if not curve.is_empty():
                series.append(
                    Line(
                        names[budget],
                        floats(curve, "size"),
                        floats(curve, "loss"),
                        dotted=not curve["accepted"].all(),
                    )
                )
            series.append(Points(names[budget], floats(run, "size"), floats(run, "loss"), tuple(run["run"])))
        best = optima.filter(pl.col("group") == group)
        size, low, high = (floats(best, name) for name in ("size", "size_low", "size_high"))
        series.append(Intervals(_OPTIMUM, size, floats(best, "loss"), low, high, along="x"))
        facets.append(Facet(x, Axis("Loss"), tuple(series), group))
    styles = ordered_styles(list(names.values())) | {_OPTIMUM: Style(INK, "X")}
    return Chart(
        "Loss against parameters at equal compute, with parabolas",
        tuple(facets),
        styles,
        row_height=4.0 if len(facets) == 1 else 2.9,
        unit="FLOPs",
        with_legend=len(budgets) <= _MOST_NAMED,
    )


def _chart_optima(optima: pl.DataFrame, lines: pl.DataFrame) -> Chart:
    """Optimal size and tokens of each budget, and the power laws by approach, two facets a group."""
    approaches = lines["approach"].unique(maintain_order=True).to_list()
    compute = Axis("Training FLOPs C", "log", values=tuple(floats(optima, "compute")))
    facets = []
    for group in optima["group"].unique(maintain_order=True):
        of_group = optima.filter(pl.col("group") == group)
        for quantity, name in _QUANTITIES.items():
            series: list[Series] = []
            for approach in approaches:
                line = lines.filter((pl.col("group") == group) & (pl.col("approach") == approach))
                ends = (floats(line, f"{quantity}_{end}") for end in ("low", "high"))
                series += bounded_band(approach, floats(line, "compute"), *ends)
                series.append(Line(approach, floats(line, "compute"), floats(line, quantity)))
            middle, low, high = (floats(of_group, f"{quantity}{end}") for end in ("", "_low", "_high"))
            series.append(Intervals(_OPTIMUM, floats(of_group, "compute"), middle, low, high))
            facets.append(Facet(compute, Axis(name, "log", counts=True), tuple(series), group))
    styles = group_styles(approaches) | {_OPTIMUM: Style(INK, "X")}
    return Chart(
        "Optimal parameters and tokens against compute",
        tuple(facets),
        styles,
        share_x=False,
        share_y=False,
        row_height=3.2,
    )


def _lines(study: IsoFlop) -> pl.DataFrame:
    compute = study.optima.budgets.compute
    return line_frame(study.laws, np.geomspace(compute.min(), compute.max(), _LINE_POINTS))


def _points(study: IsoFlop) -> pl.DataFrame:
    """Runs of the budgets that have a parabola."""
    points = point_frame(study.optima)
    return points.filter(pl.col("size").n_unique().over("compute") >= _SIZES)


def _optimum_rows(study: IsoFlop) -> pl.DataFrame:
    return optimum_frame(study.optima).filter(pl.col("size").is_not_null())


def _by_group(studies: Sequence[IsoFlop], frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    named = (
        frame.select(pl.lit(study.group).alias("group"), pl.all())
        for study, frame in zip(studies, frames, strict=True)
    )
    return pl.concat(named, how="vertical_relaxed")


def _rows(study: IsoFlop) -> list[dict[str, str]]:
    group = {"Group": study.group} if study.group else {}
    return [
        {
            **group,
            "Approach": law.approach,
            "a": interval_text(law.size.exponent),
            "b": interval_text(law.tokens.exponent),
            "a if a + b = 1": interval_text(law.tied.exponent),
            "Points": str(law.points),
        }
        for law in study.laws
    ]
