"""Charts of fitted laws: curves, residuals and parameters, of any table of runs."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from analysis.charts.chart import Axis, Chart, Facet, Reference
from analysis.charts.series import Intervals, Line, Points, Series, bounded_band, floats
from analysis.charts.styles import Style, ordered_styles
from analysis.report.figures import fitted_curve
from analysis.wording import count, greek

_COUNTED = frozenset("NDUTMH")
# Intervals that span so much are drawn in the log, unless an end is as good as zero.
_WIDE, _VANISHING = 30.0, 1e9


def _letter_axis(letter: str, values: pl.Series, names: Mapping[str, str]) -> Axis:
    """The axis of a letter, logarithmic where its values are positive."""
    positive = tuple(float(value) for value in values) if float(values.to_numpy().min()) > 0 else ()
    return Axis(
        _label(letter, names), "log" if positive else "linear", counts=letter in _COUNTED, values=positive
    )


def target_axis(letter: str, names: Mapping[str, str]) -> Axis:
    """The axis of what a law predicts."""
    return Axis(_label(letter, names))


def chart_curves(
    points: pl.DataFrame,
    curves: pl.DataFrame,
    letters: tuple[str, str],
    names: Mapping[str, str],
    styles: Mapping[str, Style],
) -> Chart:
    """All groups in one facet: runs as points, a curve with its band each.

    Parameters
    ----------
    points : polars.DataFrame
        ``group``, ``run``, ``x``, ``loss``.
    curves : polars.DataFrame
        ``group``, ``x``, ``loss``, ``low``, ``high``.
    letters : (str, str)
        Of x and of the loss.
    names : dict of str to str
        What each letter is.
    styles : dict of str to Style
        By group.
    """
    groups = points["group"].unique(maintain_order=True).to_list()
    series: list[Series] = []
    for group in groups:
        run, curve = (table.filter(pl.col("group") == group) for table in (points, curves))
        series += fitted_curve(curve, group, "x", float(floats(run, "x").max()))
        series.append(Points(group, floats(run, "x"), floats(run, "loss"), tuple(run["run"])))
    facet = Facet(_letter_axis(letters[0], points["x"], names), target_axis(letters[1], names), tuple(series))
    label = f"{facet.y.label} against {facet.x.label}" + (", by group" if len(groups) > 1 else "")
    return Chart(label, (facet,), styles, row_height=3.7)


def chart_levels(
    points: pl.DataFrame, curves: pl.DataFrame, letter: str, target: str, letters: Mapping[str, str]
) -> Chart:
    """A facet a group and a line a level of the law's other input; tables as in ``chart_curves``.

    Parameters
    ----------
    points, curves : polars.DataFrame
        With ``level`` besides.
    letter, target : str
        Of the level and of the loss.
    letters : dict of str to str
        What each letter is.
    """
    levels = sorted(points["level"].unique())
    names = {level: _level_name(letter, level) for level in levels}
    x, y = _letter_axis("N", points["x"], letters), target_axis(target, letters)
    facets = []
    for group in points["group"].unique(maintain_order=True):
        series: list[Series] = []
        for level in levels:
            here = (pl.col("group") == group) & (pl.col("level") == level)
            run, curve = points.filter(here), curves.filter(here)
            if run.is_empty():
                continue
            name = names[level]
            series += bounded_band(name, *(floats(curve, column) for column in ("x", "low", "high")))
            series.append(Line(name, floats(curve, "x"), floats(curve, "loss")))
            series.append(Points(name, floats(run, "x"), floats(run, "loss"), tuple(run["run"])))
        facets.append(Facet(x, y, tuple(series), group))
    label = f"{y.label} against parameters at levels of {letters[letter]}, with the fitted law"
    return Chart(
        label,
        tuple(facets),
        ordered_styles(list(names.values())),
        row_height=3.7 if len(facets) == 1 else 2.7,
        unit=letters[letter].removeprefix("training "),
    )


def chart_residuals(
    points: pl.DataFrame, target: str, names: Mapping[str, str], styles: Mapping[str, Style]
) -> Chart:
    """How far each run lies from its law against what the law predicts, a facet a law.

    Parameters
    ----------
    points : polars.DataFrame
        ``law``, ``group``, ``run``, ``predicted``, ``percent``.
    target : str
    names : dict of str to str
        What each letter is.
    styles : dict of str to Style
        By group.
    """
    laws = points["law"].unique(maintain_order=True).to_list()
    facets = []
    for law in laws:
        of_law = points.filter(pl.col("law") == law)
        series = [
            Points(group, floats(run, "predicted"), floats(run, "percent"), tuple(run["run"]))
            for (group,), run in of_law.group_by("group", maintain_order=True)
        ]
        facets.append(
            Facet(
                Axis(f"Predicted {target_axis(target, names).label.lower()}"),
                Axis("Measured above predicted (%)"),
                tuple(series),
                law if len(laws) > 1 else "",
                (Reference(0.0),),
            )
        )
    return Chart("Residuals of the fitted laws", tuple(facets), styles, row_height=2.9)


def chart_parameters(
    table: pl.DataFrame, label: str, styles: Mapping[str, Style], references: tuple[Reference, ...] = ()
) -> Chart:
    """Estimates with their intervals, a facet a parameter and a row a group.

    Parameters
    ----------
    table : polars.DataFrame
        ``parameter``, ``group``, ``estimate``, ``low``, ``high`` (null or infinite where unbounded).
    label : str
        What a screen reader says.
    styles : dict of str to Style
        By group.
    references : tuple of Reference
        Values to compare with, say zero for differences.
    """
    groups = table["group"].unique(maintain_order=True).to_list()
    facets = tuple(
        _parameter_facet(of_parameter, str(name), groups[::-1], references)
        for (name,), of_parameter in table.group_by("parameter", maintain_order=True)
    )
    return Chart(label, facets, styles, share_x=False, row_height=1.1 + 0.28 * len(groups), with_legend=False)


def _parameter_facet(
    table: pl.DataFrame, name: str, groups: Sequence[str], references: tuple[Reference, ...]
) -> Facet:
    middle, low, high = (floats(table, column) for column in ("estimate", "low", "high"))
    spans = np.concatenate([middle, low[np.isfinite(low)], high[np.isfinite(high)]])
    positive = not references and bool((spans > 0).all())
    logarithmic = positive and _WIDE < spans.max() / spans.min() < _VANISHING
    low, high = (np.where(np.isfinite(ends), ends, np.nan) for ends in (low, high))
    series = tuple(
        Intervals(
            group,
            middle[[place]],
            np.array([float(groups.index(group))]),
            low[[place]],
            high[[place]],
            along="x",
        )
        for place, group in enumerate(table["group"])
    )
    axis = Axis("Estimate", "log" if logarithmic else "linear", values=tuple(spans) if logarithmic else ())
    return Facet(axis, Axis("", names=tuple(groups)), series, greek(name), references)


def _label(letter: str, names: Mapping[str, str]) -> str:
    name = names.get(letter, letter)
    return f"{name[0].upper()}{name[1:]}" + ("" if letter in ("L", name) else f" {letter}")


def _level_name(letter: str, value: float) -> str:
    return count(value) if letter in _COUNTED else f"{value:.1e}".replace("e+", "e")
