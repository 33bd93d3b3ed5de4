"""``wardlaw analysis compare``."""

from typing import Annotated

import typer
from rich.console import Console

from analysis.comparison.compare import compare as compare_groups
from analysis.comparison.rendering import describe_comparison
from analysis.fits.table_fit import Request
from analysis.laws.registry import find_law
from analysis.numbers_file import write_numbers
from analysis.options import (
    Columns,
    DropWorst,
    Group,
    JsonFile,
    Replicates,
    Runs,
    Seed,
    Unit,
    Where,
    chosen_runs,
    numbers,
)
from analysis.uncertainty.intervals import DEFAULT_REPLICATES, DEFAULT_SEED


def compare(
    runs: Runs,
    reference: Annotated[str, typer.Option(help="Value of the group to compare with.")],
    law: Annotated[str, typer.Option(help="Law to fit to each group; `wardlaw analysis laws` lists them.")],
    group: Group = "",
    against: Annotated[
        list[str] | None, typer.Option(help="Value of a group to compare; all others if none; repeatable.")
    ] = None,
    at: Annotated[
        str, typer.Option(help="D=...: hold the law's other inputs there; else at the largest common.")
    ] = "",
    level: Annotated[
        list[float] | None, typer.Option(help="Further loss to judge efficiencies at; repeatable.")
    ] = None,
    columns: Columns = "",
    where: Where = None,
    drop_worst_loss: DropWorst = 0,
    objective: Annotated[str, typer.Option(help="huber-log, squares-log or squares.")] = "",
    bootstrap: Replicates = DEFAULT_REPLICATES,
    seed: Seed = DEFAULT_SEED,
    loss: Unit = "token",
    json_file: JsonFile = None,
) -> None:
    """Compare groups of runs: exponents, and parameters, tokens or compute at equal loss."""
    found = compare_groups(
        chosen_runs(runs, columns, where, drop_worst_loss, loss, find_law(law).target),
        group=group,
        reference=reference,
        law=Request(law=law, objective=objective, replicates=bootstrap, seed=seed),
        against=against or (),
        held=numbers(at, "--at"),
        levels=level or (),
    ).to_json()
    Console().print(describe_comparison(found))
    if json_file:
        write_numbers(json_file, found)
