"""A fit as the terminal shows it."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from analysis.terminal import doubts, facts_table, left_out, plain_text
from analysis.uncertainty.interval_text import interval_text
from analysis.uncertainty.intervals import Interval
from analysis.wording import significant


def render_fit(fit: Mapping[str, Any]) -> str:
    """Plain text of a fit's JSON: parameters, how it was fitted, what was left out, what to doubt."""
    return plain_text(describe_fit(fit))


def describe_fit(fit: Mapping[str, Any]) -> RenderableType:
    """The same for a rich console."""
    parts: list[RenderableType] = [_parameters(fit), _facts(fit)]
    if fit["predictions"]:
        parts.append(_predictions(fit["predictions"], fit["target"]))
    return Group(*parts, *doubts(fit["warnings"]), *left_out(fit["dropped"]))


def _parameters(fit: Mapping[str, Any]) -> Table:
    title = f"{fit['group']}: {fit['formula']}" if fit["group"] else fit["formula"]
    table = Table(title=title, title_justify="left", caption=fit["reference"], caption_justify="left")
    table.add_column("parameter")
    table.add_column("estimate (95 % interval)", justify="right")
    table.add_column("standard error", justify="right")
    for name, value in fit["params"].items():
        ends = fit["intervals"][name]
        error = fit["standard_errors"].get(name)
        shown = interval_text(Interval(value, ends["low"], ends["high"]))
        if name in fit["fixed"]:
            shown = f"{significant(value, 6)} (held)"
        unknown = error is None or not isfinite(error) or name in fit["fixed"]
        table.add_row(name, shown, "" if unknown else significant(error))
    return table


def _facts(fit: Mapping[str, Any]) -> Table:
    """How the fit was made: what (Mis)Fitting (arXiv 2502.18969) asks every fit to say."""
    convergence = fit["convergence"]
    reached = f"{100 * convergence['reached_best']:.0f} % of {convergence['starts']} starts reached the best"
    facts = {
        "runs": f"{fit['n']} at {fit['points']} distinct points, {len(fit['dropped'])} left out",
        "counted": "; ".join(fit["notes"]),
        "objective": f"{fit['objective']:.9g}: {fit['objective_form']}",
        "solver": f"{convergence['solver']}; {reached}; gradient {convergence['gradient_norm']:.1e}",
        "bounds": fit["bounds"],
        "intervals": f"{fit['interval_method']}, {fit['replicates']:,} replicates",
    }
    if fit["seed_noise"]["deviation"] is not None:
        noise = fit["seed_noise"]
        # A deviation of logs is a fraction of the target; one of the target has its unit.
        spread = noise["deviation"]
        told = f"{100 * spread:.2g} %" if fit["scale"] == "log" else f"{spread:.2g}"
        facts["noise floor"] = f"{told} between seeds ({noise['degrees']} degrees of freedom)"
    if fit["lack_of_fit_p"] is not None:
        facts["lack of fit"] = f"p = {fit['lack_of_fit_p']:.2g} against seed noise"
    if convergence["other_minima"]:
        facts["other minima"] = "; ".join(_minimum(fit, one) for one in convergence["other_minima"])
    if fit["holdout"]:
        facts["hold-out"] = _holdout(fit["holdout"])
    return facts_table(facts)


def _minimum(fit: Mapping[str, Any], minimum: Mapping[str, Any]) -> str:
    free = {name: value for name, value in minimum["params"].items() if name not in fit["fixed"]}
    shown = ", ".join(f"{name} {significant(value)}" for name, value in free.items())
    return f"{shown} (objective +{100 * (minimum['objective'] / fit['objective'] - 1):.2g} %)"


def _holdout(holdout: Mapping[str, Any]) -> str:
    largest = holdout["at_largest"]
    covered = (
        "" if holdout["covered"] is None else f"; {100 * holdout['covered']:.0f} % inside their interval"
    )
    mean, most = (f"{100 * holdout[f'{which}_relative_error']:.2f} %" for which in ("mean", "largest"))
    return (
        f"{holdout['n']} runs with {holdout['condition']}: mean error {mean}, largest {most}"
        f"{covered}; at the largest predicted {significant(largest['predicted'], 5)}, measured "
        f"{significant(largest['measured'], 5)} ({100 * largest['relative_error']:+.2f} %)"
    )


def _predictions(predictions: list[Mapping[str, Any]], target: str) -> Table:
    table = Table(title="Predictions", title_justify="left")
    table.add_column("at")
    table.add_column(f"{target} (interval of the law)", justify="right")
    table.add_column("interval of one run", justify="right")
    table.add_column("")
    for one in predictions:
        law, run = (
            Interval(one["prediction"], one[key]["low"], one[key]["high"])
            for key in ("interval", "run_interval")
        )
        ends = interval_text(run).partition(" ")[2]
        at = ", ".join(f"{name} = {significant(value)}" for name, value in one["inputs"].items())
        table.add_row(at, interval_text(law), ends, "; ".join(one["warnings"]))
    return table
