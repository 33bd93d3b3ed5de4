"""``wardlaw analysis joint``."""

from dataclasses import replace
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from analysis.fits.joint_candidates import fill_absent, joint_candidates, told_parts
from analysis.fits.rendering import describe_fit
from analysis.fits.selection import select_law
from analysis.fits.selection_table import describe_selection
from analysis.fits.table_fit import fit_table
from analysis.numbers_file import write_numbers
from analysis.options import (
    Columns,
    DropWorst,
    JsonFile,
    Replicates,
    Runs,
    Seed,
    Unit,
    Where,
    chosen_runs,
)


def joint(
    runs: Runs,
    holdout: Annotated[str, typer.Option(help="Condition of runs to keep out: the largest, never random.")],
    columns: Columns = "",
    where: Where = None,
    drop_worst_loss: DropWorst = 0,
    objective: Annotated[str, typer.Option(help="huber-log, squares-log or squares.")] = "",
    bootstrap: Replicates = 2000,
    seed: Seed = 42,
    loss: Unit = "token",
    json_file: JsonFile = None,
) -> None:
    """Choose the parts of the joint law (repeats, sites, noise) by extrapolation, and fit it with those."""
    table = fill_absent(chosen_runs(runs, columns, where, drop_worst_loss, loss))
    candidates = joint_candidates(told_parts(table, holdout), objective)
    selection = select_law(table, candidates, holdout)
    chosen = selection.simplest.name
    request = next(one.request for one in candidates if one.name == chosen)
    fit = fit_table(table, replace(request, holdout=holdout, replicates=bootstrap, seed=seed))
    found = {"selection": selection.to_json(), "fit": fit.to_json()}
    console = Console()
    console.print(describe_selection(found["selection"]))
    console.print(Text(f"fitted below: {chosen}"))
    console.print(describe_fit(found["fit"]))
    if json_file:
        write_numbers(json_file, found)
