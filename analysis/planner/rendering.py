"""A plan as the terminal shows it."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from analysis.terminal import doubts, left_out, plain_text
from analysis.uncertainty.interval_text import interval_text
from analysis.uncertainty.intervals import Interval
from analysis.wording import count, significant


def render_plan(plan: Mapping[str, Any]) -> str:
    """Plain text of a plan's JSON."""
    return plain_text(describe_plan(plan))


def describe_plan(plan: Mapping[str, Any]) -> RenderableType:
    """The same for a rich console."""
    outlooks = [*plan["losses"], *([plan["private"]] if plan["private"] else [])]
    parts: list[RenderableType] = [
        _answers(plan),
        _losses(outlooks, plan["measured"]),
        Text(f"  {plan['intervals']}"),
    ]
    parts.append(_budgets(plan["budgets"]))
    if plan["noises"]:
        parts.append(_noises(plan["consortium"]["privacy"], plan["noises"]))
    parts.append(_backtests(plan["backtests"]))
    parts += doubts(plan["warnings"])
    parts += doubts(f"{one['arm']}: {note}" for one in outlooks for note in one["notes"])
    parts += left_out(plan["dropped"])
    return Group(*parts)


def _answers(plan: Mapping[str, Any]) -> Table:
    choice, consortium = plan["choice"], plan["consortium"]
    sites = len(consortium["shards"])
    good = " to ".join(count(size) for size in choice["as_good"])
    rows = {
        "size to train": f"{count(choice['size'])} parameters; {good} are within 1 % of its loss",
        "lowest of the law": _optimum(plan["optimum"]),
        "tokens": _tokens(plan),
        "compute": f"{choice['spent']:.3g} FLOPs, {choice['unspent']:.3g} of the budget unspent",
        **_schedule(plan["schedule"], consortium["megabits"], sites),
    }
    for gain in plan["joining"]:
        rows[f"joining, {gain['arm']}"] = _joining(gain)
    table = Table(
        title=f"Plan for {sites} sites and {consortium['compute']:.3g} FLOPs, {plan['roles']['federated']}",
        title_justify="left",
        show_header=False,
    )
    table.add_column()
    table.add_column()
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _optimum(interval: Mapping[str, float | None] | None) -> str:
    if interval is None:
        return "none that these runs show"
    estimate, low, high = (
        "?" if interval[end] is None else count(interval[end] or 0.0) for end in ("estimate", "low", "high")
    )
    return f"{estimate} ({low} to {high}) parameters"


def _tokens(plan: Mapping[str, Any]) -> str:
    shards = plan["consortium"]["shards"]
    unique = sum(shard["tokens"] for shard in shards)
    most = max(plan["schedule"]["passes"], key=lambda site: site["passes"])
    return (
        f"{count(plan['choice']['tokens'])} in all, {plan['epochs']:.2f} passes over the sites' "
        f"{count(unique)}; most at {most['site']}, {most['passes']:.2f}"
    )


def _schedule(schedule: Mapping[str, Any], megabits: float, sites: int) -> dict[str, str]:
    hours = schedule["training_hours"]
    return {
        "steps": f"{schedule['steps']:,} of {count(schedule['batch_tokens'])} tokens, all sites together",
        "rounds": f"{schedule['rounds']:,} of {schedule['local_steps']} local steps",
        "on the wire": (
            f"{count(schedule['bytes_a_round'])}B a site and round, {count(schedule['bytes_in_all'])}B in "
            f"all; {_hours(schedule['transfer_hours'])} at {megabits:g} Mbit/s"
        ),
        "training": (
            f"{'not known (give --speed)' if hours is None else _hours(hours)} at each site, {sites} sites "
            "at once"
        ),
    }


def _joining(gain: Mapping[str, Any]) -> str:
    """The joined model against each site's own on the site's own patients."""
    said = f"{_verdict(Interval(**gain['gain']))} {gain['against']}"
    if gain["gain_on_best"]:
        best = f"{count(gain['best_size'])} parameters, D {count(gain['best_tokens'])}"
        verdict = _verdict(Interval(**gain["gain_on_best"]))
        said += f". Against a site free to choose its own size and tokens ({best}): {verdict} its own"
    return said + (f". With caution: {'; '.join(gain['cautions'])}" if gain["cautions"] else "")


def _verdict(gain: Interval) -> str:
    shown = interval_text(gain.magnitude, unit=" %")
    if gain.low is not None and not gain.excludes_zero:
        return f"no measurable difference: the loss is {interval_text(gain, unit=' %')} lower than"
    if gain.estimate > 0:
        return f"pays: the loss is {shown} lower than"
    return f"does not pay: the loss is {shown} higher than"


def _losses(outlooks: Sequence[Mapping[str, Any]], measured: str) -> Table:
    table = Table(title=f"Predicted loss ({measured}, 95 % intervals)", title_justify="left")
    for heading in ("arm", "mean", "one run", "law"):
        table.add_column(heading)
    for outlook in outlooks:
        table.add_row(outlook["arm"], *_loss_cells(outlook), outlook["law"])
    return table


def _loss_cells(outlook: Mapping[str, Any]) -> tuple[str, str]:
    if outlook["mean"] is None or outlook["run"] is None:
        return "not predicted", ""
    mean, run = Interval(**outlook["mean"]), Interval(**outlook["run"])
    return interval_text(mean), interval_text(run).partition(" ")[2]


def _budgets(budgets: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title="At other budgets", title_justify="left")
    for heading in ("FLOPs", "size", "tokens", "predicted loss"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for row in budgets:
        shown = ("" if row[key] is None else count(row[key]) for key in ("size", "tokens"))
        loss = "" if row["loss"] is None else significant(row["loss"], 4)
        left = f": {row['unspent']:.3g} unspent" if row["unspent"] else ""
        table.add_row(f"{row['compute']:.3g}", *shown, loss, f"{row['note']}{left}")
    return table


def _noises(privacy: Mapping[str, float], noises: Sequence[Mapping[str, Any]]) -> Table:
    title = f"Noise for epsilon {privacy['epsilon']:g}, delta {privacy['delta']:g}"
    table = Table(title=title, title_justify="left")
    for heading in ("site", "patients a step", "sampling rate", "noise multiplier", "noise-batch ratio"):
        table.add_column(heading, justify="right")
    for noise in noises:
        table.add_row(
            noise["site"],
            str(noise["batch_patients"]),
            *(significant(noise[key]) for key in ("sampling_rate", "noise_multiplier", "ratio")),
        )
    return table


def _backtests(backtests: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title="The laws on runs that they were not fitted to", title_justify="left")
    for heading in ("arm", "held out", "runs inside their interval", "mean error"):
        table.add_column(heading)
    for test in backtests:
        inside = "no interval" if test["covered"] is None else f"{test['covered']} of {test['runs']}"
        error = test["mean_relative_error"]
        shown = "" if error is None else f"{100 * error:.2f} %"
        table.add_row(test["arm"], test["held_out"], test["note"] or inside, shown)
    return table


def _hours(hours: float) -> str:
    if hours >= 48:
        return f"{hours / 24:.1f} days"
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{3600 * hours:.0f} s" if hours < 1 / 60 else f"{60 * hours:.0f} min"
