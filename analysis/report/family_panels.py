"""The panels about model families against each other."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from analysis.charts.styles import group_styles
from analysis.report.comparison_panels import chart_efficiency
from analysis.report.families import FamilyContrast
from analysis.report.panel import Panel
from analysis.uncertainty.interval_text import interval_text
from analysis.wording import greek, significant


def family_panels(contrasts: Sequence[FamilyContrast]) -> list[Panel]:
    """Exponents and parameters at equal loss, a panel an objective."""
    by_objective: dict[str, list[FamilyContrast]] = {}
    for one in contrasts:
        by_objective.setdefault(one.objective, []).append(one)
    return [_panel(objective, of_objective) for objective, of_objective in by_objective.items()]


def _panel(objective: str, contrasts: Sequence[FamilyContrast]) -> Panel:
    table = pl.concat(one.contrast.curves(one.reference) for one in contrasts)
    reference = contrasts[0].reference_family
    drawn = table["efficiency"].null_count() < len(table)
    definitions = dict.fromkeys(
        f"{efficiency.kind}: {efficiency.equation}"
        for one in contrasts
        for efficiency in one.contrast.efficiencies
    )
    styles = group_styles([one.contrast.group for one in contrasts])
    return Panel(
        f"families-{objective.replace(', ', '-').replace(' ', '-')}",
        f"Families under {objective}: efficiency against {reference} at equal loss",
        f"How many times fewer parameters than {reference}, trained in the same way under the same "
        f"objective, a family takes to the same loss; above 1 it takes fewer. By definition "
        f"{'; '.join(definitions)}: our "
        "definition, the papers publish none. Bands: 95 %, absent where replicates never get there; dotted "
        "where a family's runs do not reach so far. The law of both is the one drawn above. Families have no "
        "sizes in common, so no noise is paired.",
        chart_efficiency(table, reference, styles) if drawn else None,
        {"efficiency": table},
        [_row(one) for one in contrasts],
        ["Arm", "Against"],
    )


def _row(one: FamilyContrast) -> dict[str, str]:
    shown = one.contrast.curves(one.reference).filter(
        pl.col("efficiency").is_not_null(), pl.col("extrapolates") == ""
    )
    lowest = shown.sort("level").row(0, named=True) if len(shown) else None
    differences = (f"{greek(name)} {interval_text(gap)}" for name, gap in one.contrast.exponents.items())
    return {
        "Arm": one.contrast.group,
        "Against": one.reference,
        "Exponent minus the other's": "; ".join(differences),
        "Lowest loss of both": significant(lowest["level"], 4) if lowest else "none in common",
        "Efficiency there": _ratio(lowest) if lowest else "",
    }


def _ratio(row: Mapping[str, Any]) -> str:
    if row["low"] is None:
        return f"{significant(row['efficiency'])} (no band)"
    return "{} ({} to {})".format(*(significant(row[name]) for name in ("efficiency", "low", "high")))
