"""``wardlaw client budget``: a site's ledger of privacy."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from client.privacy.budget import Spending, Statement, require_head, statement_of
from client.privacy.ledger import Ledger
from client.privacy.limits import ledger_of
from client.privacy.spending import Limit
from client.privacy.statement import ledger_statement
from wardlaw.config import load_site_policy
from wardlaw.privacy.epsilon import epsilon_json, epsilon_text
from wardlaw.privacy.events import RELATION, UNIT, Event, PoissonGaussian
from wardlaw.privacy.statement_text import text_of

budget = typer.Typer(no_args_is_help=True, help="What the site's patients have paid in privacy.")

SiteFile = Annotated[Path, typer.Option("--site", help="The site's site.toml.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


@budget.command("open")
def open_budget(
    site: SiteFile,
    delta: Annotated[float, typer.Option(help="delta of the limit; below one in the patients.")],
    epsilon: Annotated[
        float | None, typer.Option(help="Limit over all runs. Default: none, the ledger is only kept.")
    ] = None,
) -> None:
    """Begin the site's ledger: once in its life."""
    policy = load_site_policy(site)
    ledger = Ledger.open(policy.state, policy.site, Limit(epsilon, delta))
    typer.echo(f"{ledger.entries()[-1].hash}")


@budget.command("show")
def show(site: SiteFile, as_json: AsJson = False) -> None:
    """Show what each run cost, what is left, and what no epsilon covers."""
    statement = statement_of(_ledger(site))
    account = json.dumps(_account(statement), indent=2, allow_nan=False)
    typer.echo(account if as_json else _told(statement))


@budget.command("verify")
def verify(
    site: SiteFile,
    head: Annotated[
        str, typer.Option(help="Hash that `budget show` gave earlier and that was kept elsewhere.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Check every entry, and that the ledger goes on from a hash that was noted."""
    ledger = _ledger(site)
    entries = ledger.entries()
    since = len(entries) - 1 - require_head(entries, head, ledger).number if head else None
    if as_json:
        account = {"site": ledger.site, "entries": len(entries), "head": entries[-1].hash}
        typer.echo(json.dumps({**account, "entries_since_noted_head": since}, indent=2))
    else:
        noted = "" if since is None else f", {since} of them after the noted one"
        typer.echo(f"{ledger.site}: {len(entries)} entries are whole{noted}; head {entries[-1].hash}")


@budget.command("statement")
def state(
    site: SiteFile,
    run: Annotated[str, typer.Option(help="Fingerprint of a run, or its first letters. Default: all.")] = "",
    as_json: AsJson = False,
) -> None:
    """State what the site's patients paid, how, and what no epsilon covers: from the ledger alone."""
    statement = ledger_statement(_ledger(site), run)
    typer.echo(statement.to_json() if as_json else text_of(statement), nl=False)


@budget.command("accept-clock")
def accept_clock(site: SiteFile) -> None:
    """Say that the clock is right though it is behind the last entry. No budget comes back by it."""
    ledger = _ledger(site)
    ledger.accept_clock()
    typer.echo(f"{ledger.site}: the clock is noted")


def _ledger(site: Path) -> Ledger:
    return ledger_of(load_site_policy(site))


def _account(statement: Statement) -> dict[str, Any]:
    return {
        "site": statement.site,
        "unit": UNIT,
        "relation": RELATION,
        "limit": asdict(statement.limit),
        "epsilon": epsilon_json(statement.epsilon),
        "left": statement.left,
        "spent": [
            {
                "name": spending.name,
                "rounds": spending.rounds,
                "unfinished": spending.unfinished,
                "events": [event.to_json() for event in spending.events],
                "epsilon_so_far": epsilon_json(spending.epsilon),
            }
            for spending in statement.spendings
        ],
        "not_covered": statement.uncovered,
        "entries": statement.entries,
        "head": statement.head,
    }


def _told(statement: Statement) -> str:
    limit = statement.limit
    lines = [
        f"site        {statement.site}",
        f"unit        {UNIT}",
        f"neighbours  {RELATION}",
        f"epsilon     {epsilon_text(statement.epsilon, '.4f')} at delta {limit.delta:.3g}",
        f"limit       {'none: nothing is refused' if limit.epsilon is None else f'{limit.epsilon:g}'}",
        *([] if statement.left is None else [f"left        {statement.left:.4f}"]),
    ]
    if statement.spendings:
        lines += ["", "run or release    rounds  unfinished    epsilon so far  events"]
        lines += [_row(spending) for spending in statement.spendings]
    if statement.uncovered:
        lines += ["", "Released, and covered by no epsilon:"]
        lines += [f"  {name}, {count} times" for name, count in statement.uncovered.items()]
    return "\n".join([*lines, "", f"{statement.entries} entries, head {statement.head}"])


def _row(spending: Spending) -> str:
    events = "; ".join(map(_event, spending.events))
    return (
        f"{spending.name[:16]:16}  {spending.rounds:6d}  {spending.unfinished:10d}"
        f"  {epsilon_text(spending.epsilon, '.4f'):>16}  {events}"
    )


def _event(event: Event) -> str:
    if isinstance(event, PoissonGaussian):
        return f"{event.steps} steps of q {event.sampling_rate:.4g}, sigma {event.noise_multiplier:.4g}"
    return f"{event.count} of sigma {event.noise_multiplier:.4g}"
