"""``wardlaw analysis select``."""

from typing import Annotated

import typer
from rich.console import Console

from analysis.fits.selection import Candidate, select_law
from analysis.fits.selection_table import describe_selection
from analysis.fits.table_fit import Request
from analysis.laws.registry import find_law
from analysis.numbers_file import write_numbers
from analysis.options import (
    Columns,
    DropWorst,
    JsonFile,
    Runs,
    Unit,
    Where,
    chosen_runs,
    numbers,
)


def select(
    runs: Runs,
    law: Annotated[
        list[str],
        typer.Option(help="Law to compare, or LAW:name=value,... with parameters held; repeatable."),
    ],
    holdout: Annotated[str, typer.Option(help="Condition of runs to keep out: the largest, never random.")],
    columns: Columns = "",
    where: Where = None,
    drop_worst_loss: DropWorst = 0,
    objective: Annotated[str, typer.Option(help="huber-log, squares-log or squares.")] = "",
    loss: Unit = "token",
    json_file: JsonFile = None,
) -> None:
    """Compare laws by how well each predicts runs that it was not fitted to."""
    candidates = [_candidate(text, objective) for text in law]
    target = find_law(candidates[0].request.law).target
    table = chosen_runs(runs, columns, where, drop_worst_loss, loss, target)
    found = select_law(table, candidates, holdout).to_json()
    Console().print(describe_selection(found))
    if json_file:
        write_numbers(json_file, found)


def _candidate(text: str, objective: str) -> Candidate:
    name, _, fixed = text.partition(":")
    return Candidate(text, Request(law=name, objective=objective, fixed=numbers(fixed, "--law")))
