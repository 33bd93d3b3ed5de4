"""A plan as the terminal shows it."""

from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from analysis.planner.outlook import Outlook
from analysis.uncertainty.interval_text import interval_text
from analysis.uncertainty.intervals import Interval
from analysis.wording import count, significant

if TYPE_CHECKING:
    from analysis.planner.plan import Plan

_WIDTH = 110


def render_plan(plan: "Plan") -> str:
    """Plain text of a plan."""
    console = Console(width=_WIDTH, color_system=None, highlight=False)
    with console.capture() as capture:
        console.print(describe_plan(plan))
    return capture.get()


def describe_plan(plan: "Plan") -> RenderableType:
    """The same for a rich console."""
    outlooks = _outlooks(plan)
    parts: list[RenderableType] = [_answers(plan), _losses(outlooks)]
    parts += [Text(f"  {outlook.arm}: {note}") for outlook in outlooks for note in outlook.notes]
    parts.append(_budgets(plan))
    if plan.noises:
        parts.append(_noises(plan))
    parts.append(_backtests(plan))
    parts += [Text(f"! {warning}", style="yellow") for warning in plan.warnings]
    return Group(*parts)


def _answers(plan: "Plan") -> Table:
    choice, schedule, consortium = plan.choice, plan.schedule, plan.consortium
    good = " to ".join(count(size) for size in choice.as_good)
    hours = "not known (give --speed)" if schedule.training_hours is None else _hours(schedule.training_hours)
    rows = {
        "size to train": f"{count(choice.size)} parameters; {good} are within 1 % of its loss",
        "lowest of the law": f"{_open_interval(choice.optimum)} parameters",
        "tokens": (
            f"{count(choice.tokens)} in all, {plan.epochs:.2f} passes over the sites' "
            f"{count(consortium.unique_tokens)}"
        ),
        "steps": f"{schedule.steps:,} of {count(schedule.batch_tokens)} tokens, all sites together",
        "rounds": f"{schedule.rounds:,} of {schedule.local_steps} local steps",
        "on the wire": (
            f"{count(schedule.bytes_a_round)}B a site and round, {count(schedule.bytes_in_all)}B in all; "
            f"{_hours(schedule.transfer_hours)} at {consortium.megabits:g} Mbit/s"
        ),
        "training": f"{hours} at each site, {consortium.sites} sites at once",
    }
    if plan.joining:
        rows["joining"] = _joining(plan.joining)
    table = Table(
        title=f"Plan for {consortium.sites} sites and {consortium.compute:.3g} FLOPs, {plan.roles.federated}",
        title_justify="left",
        show_header=False,
    )
    table.add_column(no_wrap=True)
    table.add_column()
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _joining(gain: Interval) -> str:
    """The federated model against each site's own on the site's own patients."""
    shown = interval_text(gain.magnitude, unit=" %")
    own = "each site's own model on its own patients"
    if gain.low is not None and not gain.excludes_zero:
        return f"no measurable difference: the loss is {interval_text(gain, unit=' %')} lower than {own}"
    if gain.estimate > 0:
        return f"pays: the loss is {shown} lower than {own}"
    return f"does not pay at this size and budget: the loss is {shown} higher than {own}"


def _outlooks(plan: "Plan") -> tuple[Outlook, ...]:
    return plan.losses if plan.private is None else (*plan.losses, plan.private)


def _losses(outlooks: tuple[Outlook, ...]) -> Table:
    table = Table(title="Predicted loss (nats a token, 95 % intervals)", title_justify="left")
    for heading in ("arm", "mean", "one run", "law"):
        table.add_column(heading)
    for outlook in outlooks:
        table.add_row(outlook.arm, *_loss_cells(outlook), outlook.law)
    return table


def _loss_cells(outlook: Outlook) -> tuple[str, str]:
    if outlook.mean is None or outlook.run is None:
        return "not predicted", ""
    return interval_text(outlook.mean), interval_text(outlook.run).partition(" ")[2]


def _budgets(plan: "Plan") -> Table:
    table = Table(title="At other budgets", title_justify="left")
    for heading in ("FLOPs", "size", "tokens", "predicted loss"):
        table.add_column(heading, justify="right")
    for row in plan.budgets:
        shown = ("" if row[key] is None else count(row[key] or 0.0) for key in ("size", "tokens"))
        loss = "too little" if row["loss"] is None else significant(row["loss"], 4)
        loss += "" if row["inside"] in (1.0, None) else " (extrapolated)"
        table.add_row(f"{row['compute']:.3g}", *shown, loss)
    return table


def _noises(plan: "Plan") -> Table:
    privacy = plan.consortium.privacy
    title = f"Noise for epsilon {privacy.epsilon:g}, delta {privacy.delta:g}" if privacy else "Noise"
    table = Table(title=title, title_justify="left")
    for heading in ("site", "patients a step", "sampling rate", "noise multiplier", "noise-batch ratio"):
        table.add_column(heading, justify="right")
    for noise in plan.noises:
        table.add_row(
            noise.site,
            str(noise.batch_patients),
            significant(noise.sampling_rate),
            significant(noise.noise_multiplier),
            significant(noise.ratio),
        )
    return table


def _backtests(plan: "Plan") -> Table:
    table = Table(title="The laws on runs that they were not fitted to", title_justify="left")
    for heading in ("arm", "held out", "runs inside their interval", "mean error"):
        table.add_column(heading)
    for test in plan.backtests:
        inside = test.note or ("no interval" if test.covered is None else f"{test.covered} of {test.runs}")
        error = "" if test.mean_relative_error is None else f"{100 * test.mean_relative_error:.2f} %"
        table.add_row(test.arm, test.held_out, inside, error)
    return table


def _open_interval(interval: Interval) -> str:
    low = "?" if interval.low is None else count(interval.low)
    high = "?" if interval.high is None else count(interval.high)
    return f"{count(interval.estimate)} ({low} to {high})"


def _hours(hours: float) -> str:
    if hours >= 48:
        return f"{hours / 24:.1f} days"
    return (
        f"{hours:.1f} h"
        if hours >= 1
        else f"{3600 * hours:.0f} s"
        if hours < 1 / 60
        else f"{60 * hours:.0f} min"
    )
