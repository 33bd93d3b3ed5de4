"""``wardlaw analysis importance``."""

from typing import Annotated

import typer
from rich.console import Console

from analysis.importance.rendering import describe_importance
from analysis.importance.study import analyse_importance
from analysis.numbers_file import write_numbers
from analysis.options import (
    Columns,
    JsonFile,
    Replicates,
    Runs,
    Seed,
    Unit,
    Where,
    chosen_runs,
)


def importance(
    runs: Runs,
    metric: Annotated[str, typer.Option(help="Column to explain: a loss, an accuracy, ...")],
    features: Annotated[str, typer.Option(help="Columns of hyper-parameters: depth,width,optimizer.")],
    within: Annotated[
        str, typer.Option(help="Column whose values are also looked at apart (run records: arm); or none.")
    ] = "",
    flops: Annotated[str, typer.Option(help="Column of the cost of a Pareto front.")] = "",
    maximise: Annotated[
        bool, typer.Option("--maximise/--minimise", help="Whether more of the metric is better on the front.")
    ] = False,
    folds: Annotated[int, typer.Option(min=2, help="Folds of the cross-validation.")] = 5,
    columns: Columns = "",
    where: Where = None,
    bootstrap: Replicates = 2000,
    seed: Seed = 42,
    loss: Unit = "token",
    json_file: JsonFile = None,
) -> None:
    """Find which hyper-parameters a metric depends on, over all runs and within each kind."""
    found = analyse_importance(
        chosen_runs(runs, columns, where, 0, loss),
        metric,
        [name.strip() for name in features.split(",") if name.strip()],
        within=within,
        flops=flops,
        maximise=maximise,
        folds=folds,
        replicates=bootstrap,
        seed=seed,
    ).to_json()
    Console().print(describe_importance(found))
    if json_file:
        write_numbers(json_file, found)
