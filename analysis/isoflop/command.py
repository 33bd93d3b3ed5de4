"""``wardlaw analysis isoflop``."""

from typing import Annotated, Literal

import typer
from rich.console import Console

from analysis.isoflop.rendering import describe_study
from analysis.isoflop.study import IsoFlopRequest, isoflop_groups
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
)
from analysis.uncertainty.intervals import DEFAULT_REPLICATES, DEFAULT_SEED


def isoflop(
    runs: Runs,
    columns: Columns = "",
    where: Where = None,
    drop_worst_loss: DropWorst = 0,
    group: Group = "",
    tolerance: Annotated[
        float, typer.Option(min=0.0, help="Fraction by which compute may differ within a budget.")
    ] = 0.01,
    window: Annotated[
        float, typer.Option(min=1.0, help="Fit the sizes within this factor of the lowest loss's.")
    ] = 4.0,
    scale: Annotated[
        Literal["raw", "log"], typer.Option(help="Parabolas of the loss, or of its log.")
    ] = "raw",
    bootstrap: Replicates = DEFAULT_REPLICATES,
    seed: Seed = DEFAULT_SEED,
    loss: Unit = "token",
    json_file: JsonFile = None,
) -> None:
    """Find the best size and tokens of each compute budget, and how they grow with the compute."""
    table = chosen_runs(runs, columns, where, drop_worst_loss, loss)
    request = IsoFlopRequest(tolerance, window, scale, bootstrap, seed)
    found = [study.to_json() for study in isoflop_groups(table, request, group)]
    console = Console()
    for one in found:
        console.print(describe_study(one))
    if json_file:
        write_numbers(json_file, found[0] if len(found) == 1 else {"groups": found})
