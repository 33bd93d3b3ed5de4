"""An IsoFLOP study as the terminal shows it."""

from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from analysis.terminal import doubts, facts_table, left_out, plain_text
from analysis.uncertainty.interval_text import interval_text
from analysis.uncertainty.intervals import Interval
from analysis.wording import count, significant


def render_study(study: Mapping[str, Any]) -> str:
    """Plain text of a study's JSON: optima, power laws by approach, bias, and what to doubt."""
    return plain_text(describe_study(study))


def describe_study(study: Mapping[str, Any]) -> RenderableType:
    """The same for a rich console."""
    without = [
        {"run": f"budget {significant(budget['compute'])}", "reason": budget["reason"]}
        for budget in study["budgets"]
        if budget["reason"]
    ]
    return Group(
        _budgets(study),
        _exponents(study),
        _coefficients(study),
        _facts(study),
        *doubts(study["warnings"]),
        *(Text(f"  refused: {one['approach']}: {one['reason']}") for one in study["refused"]),
        *left_out([*without, *study["dropped"]]),
    )


def _budgets(study: Mapping[str, Any]) -> Table:
    name = f"{study['group']}: " if study["group"] else ""
    table = Table(title=f"{name}optimum of each budget (95 % interval)", title_justify="left")
    for column in ("C", "runs", "fitted", "N*", "D*", "loss"):
        table.add_column(column, justify="right")
    for budget in study["budgets"]:
        if budget["reason"]:
            continue
        size, tokens, loss = (_of_budget(budget, quantity) for quantity in ("size", "tokens", "loss"))
        table.add_row(
            significant(budget["compute"]),
            str(budget["runs"]),
            str(budget["used"]),
            _in(count, size),
            _in(count, tokens),
            interval_text(loss),
        )
    return table


def _exponents(study: Mapping[str, Any]) -> Table:
    table = Table(title="N* = k C^a, D* = k' C^b (95 % interval)", title_justify="left")
    table.add_column("approach")
    for column in ("a", "b", "a if a + b = 1"):
        table.add_column(column, justify="right")
    for law in study["approaches"]:
        shown = [interval_text(Interval(**law[name])) for name in ("a", "b", "a_tied")]
        table.add_row(law["approach"], *shown)
    return table


def _coefficients(study: Mapping[str, Any]) -> Table:
    largest = significant(study["largest_compute"])
    table = Table(title=f"coefficients, and optimum at the largest budget, C = {largest}")
    table.title_justify = "left"
    table.add_column("approach")
    for column in ("k", "k'", "N*", "D*"):
        table.add_column(column, justify="right")
    for law in study["approaches"]:
        k, k_tokens = (_in(_two_digits, Interval(**law[name])) for name in ("k", "k_tokens"))
        at = [_in(count, Interval(**law[f"{quantity}_at_largest"])) for quantity in ("size", "tokens")]
        table.add_row(law["approach"], k, k_tokens, *at)
    return table


def _facts(study: Mapping[str, Any]) -> Table:
    settings = study["settings"]
    quantity = "loss" if settings["scale"] == "raw" else "log loss"
    facts = {
        "budgets": f"runs whose compute differs by at most {100 * settings['tolerance']:g} %",
        "parabolas": f"least squares of the {quantity} in log N over the sizes within a factor "
        f"{settings['window']:g} of the lowest, or the 5 nearest",
        "intervals": f"approach 2: residuals of the parabolas; 1: whole curves off a smooth surface; "
        f"3: {study['surface']['interval_method'] if study['surface'] else 'none'}; "
        f"{settings['replicates']:,} replicates. They hold noise alone, no bias",
        "counted": "; ".join(study["notes"]),
    }
    if scatter := [law for law in study["approaches"] if law["a_scatter"]]:
        facts["scatter of 2"] = "a by how far the optima lie off the line: " + ", ".join(
            f"{interval_text(Interval(**law['a_scatter']))} ({law['approach']})" for law in scatter
        )
    if study["bias"]:
        facts["bias of 2"] = _bias(study["bias"])
    return facts_table(facts)


def _bias(bias: Mapping[str, float]) -> str:
    pairs = (
        ("a", bias["a"], bias["true_a"]),
        ("log10 k", bias["size_intercept"], bias["true_size_intercept"]),
        ("log10 k'", bias["tokens_intercept"], bias["true_tokens_intercept"]),
    )
    found = ", ".join(f"{name} = {value:.4f} for {truth:.4f}" for name, value, truth in pairs)
    return (
        f"on the surface of approach 3, without noise, parabolas on these sizes give {found}; at the largest "
        f"budget N* is off by {bias['size_percent']:+.1f} %, D* by {bias['tokens_percent']:+.1f} % "
        "(arXiv 2603.22339)"
    )


def _of_budget(budget: Mapping[str, Any], quantity: str) -> Interval:
    return Interval(budget[quantity], budget[f"{quantity}_low"], budget[f"{quantity}_high"])


def _two_digits(value: float) -> str:
    return significant(value, 2)


def _in(form: Callable[[float], str], interval: Interval) -> str:
    """An estimate and its interval, each in a form that suits many magnitudes."""
    if interval.low is None or interval.high is None:
        return f"{form(interval.estimate)} (no interval)"
    return f"{form(interval.estimate)} ({form(interval.low)} to {form(interval.high)})"
