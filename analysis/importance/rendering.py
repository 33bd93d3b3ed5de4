"""A design-space study as the terminal shows it."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from analysis.terminal import doubts, facts_table, left_out, plain_text
from analysis.uncertainty.interval_text import interval_text
from analysis.uncertainty.intervals import Interval
from analysis.wording import significant

_ALL = "all runs"


def render_importance(study: Mapping[str, Any]) -> str:
    """Plain text of a study's JSON."""
    return plain_text(describe_importance(study))


def describe_importance(study: Mapping[str, Any]) -> RenderableType:
    """The same for a rich console."""
    parts: list[RenderableType] = [_agreement(study), _importance(study), _correlations(study)]
    if study["pareto"] is not None:
        parts.append(_pareto(study))
    parts.append(_facts(study))
    return Group(*parts, *doubts(study["warnings"]), *left_out(study["dropped"]))


def _agreement(study: Mapping[str, Any]) -> Table:
    table = Table(
        title=f"{study['metric']} predicted from {', '.join(study['features'])}, by forests that did not see "
        "the configuration",
        title_justify="left",
    )
    table.add_column("among")
    for name in ("runs", "configurations", "Pearson r (95 % interval)", "variance explained"):
        table.add_column(name, justify="right")
    for row in study["agreement"]:
        among = {
            "all": _ALL,
            "within": f"all, about the mean of their {study['within']}",
            "group": f"{study['within']} = {row['group']}",
        }[row["scope"]]
        explained = "" if row["explained"] is None else f"{100 * row['explained']:.0f} %"
        table.add_row(
            among,
            f"{row['runs']}",
            f"{row['configurations']}",
            _interval(row, "pearson", decimals=2),
            explained,
        )
    return table


def _importance(study: Mapping[str, Any]) -> Table:
    table = Table(
        title="Importance",
        title_justify="left",
        caption="Permutation: rise of the squared error of unseen runs when the feature is shuffled, as a "
        "share of the metric's variance among them",
        caption_justify="left",
    )
    for name in ("feature", "among"):
        table.add_column(name)
    for name in ("permutation (95 % interval)", "± permutations", "impurity", "± folds"):
        table.add_column(name, justify="right")
    everything = [row for row in study["importance"] if row["group"] is None]
    for pooled in sorted(everything, key=lambda row: -(row["permutation"] or 0.0)):
        same = [row for row in study["importance"] if row["feature"] == pooled["feature"]]
        rows = [row for row in same if row["permutation"] is not None]
        for row in rows:
            table.add_row(
                row["feature"] if row is pooled else "",
                row["group"] or _ALL,
                _interval(row, "permutation", decimals=3),
                *(_number(row[key], 3) for key in ("deviation", "impurity", "impurity_deviation")),
                end_section=row is rows[-1],
            )
    return table


def _correlations(study: Mapping[str, Any]) -> Table:
    table = Table(title=f"Spearman's rank correlation with {study['metric']}", title_justify="left")
    for name in ("feature", "among"):
        table.add_column(name)
    for name in ("rho (95 % interval)", "p", "adjusted p"):
        table.add_column(name, justify="right")
    labels = list(dict.fromkeys(row["label"] for row in study["rank_correlations"]))
    for label in labels:
        rows = [row for row in study["rank_correlations"] if row["label"] == label and row["rho"] is not None]
        for row in rows:
            table.add_row(
                label if row is rows[0] else "",
                row["group"] or _ALL,
                _interval(row, "rho", decimals=2),
                *("" if row[key] is None else f"{row[key]:.2g}" for key in ("p", "adjusted_p")),
                end_section=row is rows[-1],
            )
    return table


def _pareto(study: Mapping[str, Any]) -> Table:
    front = [row for row in study["pareto"] if row["on_front"]]
    table = Table(
        title=f"Pareto front: least cost, {study['best']} {study['metric']} "
        f"({len(front)} of {len(study['pareto'])} runs)",
        title_justify="left",
    )
    for name in ("run", study["within"] or ""):
        table.add_column(name)
    for name in ("FLOPs", study["metric"]):
        table.add_column(name, justify="right")
    for row in front:
        table.add_row(row["run"], row["group"] or "", f"{row['cost']:.3g}", significant(row["metric"], 4))
    return table


def _facts(study: Mapping[str, Any]) -> Table:
    facts = {
        "runs": f"{study['n']} of {study['configurations']} configurations, {len(study['dropped'])} left out",
        "features": ", ".join(f"{name} ({kind})" for name, kind in study["features"].items()),
        "counted": "; ".join(study["notes"]),
        "forests": f"{study['folds']} folds of whole configurations, {study['trees']} trees each; seed "
        f"{study['seed']}; {study['reference']}",
        "intervals": "bootstrap of configurations, the forests as they are; of rho Fisher's, with "
        "configurations counted",
    }
    return facts_table(facts)


def _interval(row: Mapping[str, Any], key: str, *, decimals: int) -> str:
    if row[key] is None:
        return "does not vary"
    if row["low"] is None:
        return f"{row[key]:.{decimals}f}"
    return interval_text(Interval(row[key], row["low"], row["high"]), decimals=decimals)


def _number(value: float | None, decimals: int) -> str:
    return "" if value is None else f"{value:.{decimals}f}"
