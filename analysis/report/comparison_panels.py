"""The panels about groups of a table against each other."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from analysis.charts.chart import Axis, Chart, Facet, Reference
from analysis.charts.series import Line, Series, bounded_band, floats
from analysis.charts.styles import Style, group_styles
from analysis.comparison.compare import Comparison
from analysis.report.law_charts import chart_parameters
from analysis.report.panel import Panel
from analysis.wording import significant

# Efficiencies that span so much are drawn in the log.
_WIDE = 3.0
_KINDS = {"parameter": "parameters", "data": "tokens", "compute": "compute", "transfer": "slope"}


def comparison_panels(comparisons: Sequence[Comparison]) -> list[Panel]:
    """Differences of exponents and efficiencies, for each law that groups are compared under."""
    found = []
    for comparison in comparisons:
        found += [panel for panel in (_exponents(comparison), _efficiency(comparison)) if panel]
    return found


def _exponents(comparison: Comparison) -> Panel | None:
    table = pl.DataFrame(
        [
            {
                "parameter": name,
                "group": contrast.group,
                "estimate": difference.estimate,
                "low": difference.low,
                "high": difference.high,
            }
            for contrast in comparison.contrasts
            for name, difference in contrast.exponents.items()
        ],
        schema_overrides=dict.fromkeys(("estimate", "low", "high"), pl.Float64),
    )
    if table.is_empty():
        return None
    law = comparison.fits[comparison.reference].fit.law
    return Panel(
        f"{law.name}-exponent-differences",
        f"Exponents against those of {comparison.reference}",
        f"Exponent of each group minus that of {comparison.reference}, both from {law.formula}. Intervals "
        "(95 %) are of the differences within replicates, which draw runs of the same inputs and seed by the "
        "same numbers; none are drawn where runs cannot be drawn anew.",
        chart_parameters(
            table,
            f"Differences of exponents from {comparison.reference}",
            group_styles(list(comparison.fits)),
            (Reference(0.0, along="x"),),
        ),
        {"differences": table},
    )


def _efficiency(comparison: Comparison) -> Panel | None:
    table = comparison.curves
    if table.is_empty() or table["efficiency"].null_count() == len(table):
        return None
    definitions = dict.fromkeys(
        f"{one.kind}: {one.equation}{_held(one.held)}"
        for contrast in comparison.contrasts
        for one in contrast.efficiencies
    )
    law = comparison.fits[comparison.reference].fit.law
    return Panel(
        f"{law.name}-efficiency",
        f"Efficiency against {comparison.reference} at equal loss",
        f"How many times less than {comparison.reference} a group takes to the same loss; above 1 it takes "
        f"less. By definition {'; '.join(definitions)}. These definitions are this project's own. Bands: "
        "95 %, absent where replicates never get there; dotted where a group's runs do not reach so far.",
        chart_efficiency(table, comparison.reference, group_styles(list(comparison.fits))),
        {"efficiency": table},
    )


def chart_efficiency(table: pl.DataFrame, reference: str, styles: Mapping[str, Style]) -> Chart:
    """Efficiency against the loss that is equal, a facet a kind and a line a group.

    Parameters
    ----------
    table : polars.DataFrame
        As ``Comparison.curves``.
    reference : str
    styles : dict of str to Style
        By group.
    """
    defined = table.filter(pl.col("efficiency").is_not_null()).sort("level")
    values = floats(defined, "efficiency")
    # The reference's own, 1, is drawn too.
    wide = max(1.0, values.max()) > _WIDE * min(1.0, values.min())
    axis = Axis("Efficiency", "log" if wide else "linear", values=tuple(values) if wide else ())
    facets = []
    for (kind,), of_kind in defined.group_by("kind", maintain_order=True):
        series: list[Series] = []
        for (group,), curve in of_kind.group_by("group", maintain_order=True):
            series += _efficiency_curve(str(group), curve)
        facets.append(
            Facet(
                Axis("Loss that is equal"),
                axis,
                tuple(series),
                f"of {_KINDS[str(kind)]}",
                (Reference(1.0),),
            )
        )
    label = f"Efficiency against {reference} at equal loss"
    return Chart(label, tuple(facets), styles, share_x=False, row_height=3.0)


def _efficiency_curve(group: str, curve: pl.DataFrame) -> list[Series]:
    x, y, low, high = (floats(curve, name) for name in ("level", "efficiency", "low", "high"))
    beyond = (curve["extrapolates"] != "").to_numpy()
    # Of 0 are the ends where some replicates have no ratio: they have no place on a log axis.
    series = bounded_band(group, x, np.where(low > 0, low, np.nan), high)
    for dotted in (False, True):
        here = beyond == dotted
        if here.any():
            series.append(Line(group, x[here], y[here], dotted=dotted))
    return series


def _held(held: Mapping[str, float]) -> str:
    values = ", ".join(f"{name} = {significant(value)}" for name, value in held.items())
    return f" at {values}" if values else ""
