"""The panels about fitted laws of a table of runs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import polars as pl

from analysis.charts.styles import Style, group_styles
from analysis.fits.table_fit import TableFit
from analysis.report import curve_tables, law_charts
from analysis.report.panel import Panel
from analysis.report.table_findings import TableFindings


def law_panels(findings: TableFindings) -> list[Panel]:
    """Curves of each law, then residuals and parameters of all."""
    styles = group_styles(findings.groups or ("",))
    panels = []
    for name in findings.laws:
        fits = findings.of_law(name)
        inputs = fits[0].fit.law.inputs
        if len(inputs) == 1:
            panels.append(_curves(fits, styles))
        elif len(inputs) == 2 and inputs[0] == "N":
            panels.append(_levels(fits))
        if inputs == ("N", "D"):
            panels.append(_frontier(fits, styles))
    if findings.fits:
        panels.append(_residuals(findings, styles))
    panels += [_parameters(findings.of_law(name), styles) for name in findings.laws]
    return panels


def _curves(fits: Sequence[TableFit], styles: Mapping[str, Style]) -> Panel:
    law, letters = fits[0].fit.law, fits[0].table.letters
    points, curves = curve_tables.one_input(fits)
    chart = law_charts.chart_curves(points, curves, (law.inputs[0], law.target), letters, styles)
    return Panel(
        f"{law.name}-curve",
        f"{_target(fits)} against {letters.get(law.inputs[0], law.inputs[0])}",
        f"A point is a run. Lines: {law.formula}, fitted to each group; dotted beyond the runs. "
        f"{_bands(fits)}",
        chart,
        {"runs": points, "curves": curves},
    )


def _levels(fits: Sequence[TableFit]) -> Panel:
    law, letters = fits[0].fit.law, fits[0].table.letters
    levels = curve_tables.choose_levels(fits)
    points, curves = curve_tables.two_inputs(fits, levels)
    held = letters[levels.letter]
    how = ", D = C / (6 N)" if levels.letter == "C" else ""
    return Panel(
        f"{law.name}-levels",
        f"{_target(fits)} against parameters, by {held}",
        f"A point is a run in the shade of the level of {held} nearest to its own. Lines: {law.formula} at "
        f"each level{how}, over the sizes of its runs. {_bands(fits)}",
        law_charts.chart_levels(points, curves, levels.letter, law.target, letters),
        {"runs": points, "curves": curves},
    )


def _frontier(fits: Sequence[TableFit], styles: Mapping[str, Style]) -> Panel:
    law, letters = fits[0].fit.law, fits[0].table.letters
    points, curves = curve_tables.frontier(fits)
    return Panel(
        f"{law.name}-compute",
        f"{_target(fits)} against training compute",
        "A point is a run at C = 6 N D. Lines: the lowest loss that the fitted law allows for that compute, "
        "over all ways to divide it between N and D; runs off the best division lie above it. "
        f"{_bands(fits)}",
        law_charts.chart_curves(points, curves, ("C", law.target), letters, styles),
        {"runs": points, "curves": curves},
    )


def _residuals(findings: TableFindings, styles: Mapping[str, Style]) -> Panel:
    points = curve_tables.run_points(findings.fits)
    targets = {one.fit.law.target for one in findings.fits}
    return Panel(
        "residuals",
        "What the laws miss",
        "A point is a run: how far its measured value lies above the law's. A trend or a bend along the "
        "prediction is an error of the law's form, which no interval here holds.",
        law_charts.chart_residuals(
            points, targets.pop() if len(targets) == 1 else "value", findings.table.letters, styles
        ),
        {"residuals": points},
    )


def _parameters(fits: Sequence[TableFit], styles: Mapping[str, Style]) -> Panel:
    law = fits[0].fit.law
    table = pl.DataFrame(
        [
            {"parameter": name, "group": one.fit.group, **asdict(one.fit.intervals[name])}
            for name in law.parameters
            for one in fits
        ],
        schema_overrides=dict.fromkeys(("estimate", "low", "high"), pl.Float64),
    )
    return Panel(
        f"{law.name}-parameters",
        f"Parameters of the {law.name} law",
        f"{law.formula}. {_bands(fits)} An end that is not drawn is unbounded or unknown.",
        law_charts.chart_parameters(table, f"Parameters of the {law.name} law with their intervals", styles),
        {"parameters": table},
    )


def _target(fits: Sequence[TableFit]) -> str:
    return law_charts.target_axis(fits[0].fit.law.target, fits[0].table.letters).label


def _bands(fits: Sequence[TableFit]) -> str:
    methods = " and ".join(dict.fromkeys(one.fit.interval_method for one in fits))
    return f"95 % intervals: {methods}."
