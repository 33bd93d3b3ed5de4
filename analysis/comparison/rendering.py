"""A comparison as the terminal shows it."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from analysis.terminal import doubts, plain_text
from analysis.uncertainty.interval_text import interval_text
from analysis.uncertainty.intervals import Interval
from analysis.wording import count, significant

_SHOWN = 3


def render_comparison(comparison: Mapping[str, Any]) -> str:
    """Plain text of a comparison's JSON."""
    return plain_text(describe_comparison(comparison))


def describe_comparison(comparison: Mapping[str, Any]) -> RenderableType:
    """The same for a rich console: exponents, efficiencies with their definitions, what to doubt."""
    parts: list[RenderableType] = [_exponents(comparison)]
    efficiencies = [
        _efficiency(contrast["group"], comparison["reference"], one)
        for contrast in comparison["contrasts"]
        for one in contrast["efficiencies"]
        if one["curve"]
    ]
    parts += efficiencies
    if efficiencies:
        parts.append(Text("Defined: share of replicates in which both get there; bands count the others."))
    return Group(*parts, *doubts(_warnings(comparison)))


def _exponents(comparison: Mapping[str, Any]) -> Table:
    reference = comparison["reference"]
    table = Table(
        title=f"{comparison['column']}, against {reference}: {comparison['formula']}",
        title_justify="left",
        caption="Differences are of paired replicates, with 95 % intervals; * excludes zero",
        caption_justify="left",
    )
    table.add_column("group")
    table.add_column("runs (paired)", justify="right")
    table.add_column("exponent")
    for name in ("own", "reference's", "difference"):
        table.add_column(name, justify="right", no_wrap=True)
    fits = comparison["fits"]
    for contrast in comparison["contrasts"]:
        fit = fits[contrast["group"]]
        first = (contrast["group"], f"{fit['n']} ({contrast['paired_runs']})")
        for name, ends in contrast["exponent_differences"].items():
            difference = Interval(ends["difference"], ends["low"], ends["high"])
            star = "*" if difference.excludes_zero else ""
            values = (significant(one["params"][name]) for one in (fit, fits[reference]))
            table.add_row(*first, name, *values, interval_text(difference) + star)
            first = ("", "")
    return table


def _efficiency(group: str, reference: str, efficiency: Mapping[str, Any]) -> Table:
    held = ", ".join(f"{name} held at {count(value)}" for name, value in efficiency["held"].items())
    table = Table(
        title=f"{efficiency['kind']} efficiency of {group} against {reference}"
        + (f" ({held})" if held else ""),
        title_justify="left",
        caption=f"{efficiency['definition']}: our definition, the papers publish none",
        caption_justify="left",
    )
    for name in ("at loss", group, reference, "efficiency (95 % band)", "defined"):
        table.add_column(name, justify="right")
    table.add_column("")
    for row in _shown(efficiency["curve"]):
        doubt = f"extrapolates {row['extrapolates']}" if row["extrapolates"] else ""
        defined = "" if row["defined"] is None else f"{100 * row['defined']:.0f} %"
        needs = ("" if row[side] is None else count(row[side]) for side in ("of_group", "of_reference"))
        table.add_row(significant(row["level"], 4), *needs, _band(row), defined, row["reason"] or doubt)
    return table


def _band(row: Mapping[str, Any]) -> str:
    if row["efficiency"] is None:
        return "undefined"
    if row["low"] is None:
        return f"{significant(row['efficiency'])} (no band)"
    estimate, low, high = (significant(row[name]) for name in ("efficiency", "low", "high"))
    return f"{estimate} ({low} to {high})"


def _shown(curve: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The ends and the middle of a curve, and all that extrapolates or is undefined."""
    usual = [row for row in curve if not row["extrapolates"] and not row["reason"]]
    places = {round(step * (len(usual) - 1) / (_SHOWN - 1)) for step in range(_SHOWN)} if usual else set()
    kept = [usual[place] for place in places]
    return [row for row in curve if row in kept or row["extrapolates"] or row["reason"]]


def _warnings(comparison: Mapping[str, Any]) -> list[str]:
    """Each warning once, with the groups that it is about."""
    groups: dict[str, list[str]] = {}
    for name, one in [*comparison["fits"].items(), *((one["group"], one) for one in comparison["contrasts"])]:
        for warning in one["warnings"]:
            groups.setdefault(warning, []).append(name)
    return [*comparison["warnings"], *(f"{', '.join(names)}: {text}" for text, names in groups.items())]
