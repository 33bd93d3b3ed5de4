"""``wardlaw analysis fit``."""

from typing import Annotated, Any

import typer
from rich.console import Console

from analysis.fits.rendering import describe_fit
from analysis.fits.table_fit import Request, fit_groups
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


def fit(
    runs: Runs,
    law: Annotated[str, typer.Option(help="Law to fit; `wardlaw analysis laws` lists them.")],
    columns: Columns = "",
    where: Where = None,
    drop_worst_loss: DropWorst = 0,
    group: Group = "",
    holdout: Annotated[str, typer.Option(help="Condition of runs to keep out and predict.")] = "",
    predict: Annotated[list[str] | None, typer.Option(help="N=...,D=...: predict there; repeatable.")] = None,
    fixed: Annotated[str, typer.Option(help="name=value,...: parameters to hold.")] = "",
    start: Annotated[str, typer.Option(help="name=value,...: one start, not the law's grid.")] = "",
    objective: Annotated[str, typer.Option(help="huber-log, squares-log or squares.")] = "",
    error: Annotated[
        str, typer.Option(help="Column of standard errors of the log target: weights 1 / error^2.")
    ] = "",
    fitter: Annotated[str, typer.Option(help="newton, or projection (least squares).")] = "newton",
    bootstrap: Replicates = 2000,
    seed: Seed = 42,
    loss: Unit = "token",
    json_file: JsonFile = None,
) -> None:
    """Fit a law to runs, and print it with its intervals and what to doubt about it."""
    table = chosen_runs(runs, columns, where, drop_worst_loss, loss, find_law(law).target)
    request = Request(
        law=law,
        objective=objective,
        fitter=fitter,
        fixed=numbers(fixed, "--fixed"),
        start=numbers(start, "--start"),
        replicates=bootstrap,
        seed=seed,
        holdout=holdout,
        predict=[numbers(text, "--predict") for text in predict or []],
        error=error,
    )
    fits = fit_groups(table, request, group)
    found = [one.to_json() for one in fits]
    console = Console()
    for one in found:
        console.print(describe_fit(one))
    if json_file:
        content: dict[str, Any] = found[0] if len(found) == 1 else {"law": law, "groups": found}
        write_numbers(json_file, content)
