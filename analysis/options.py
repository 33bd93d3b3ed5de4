"""What the commands of this room have in common: where runs are, which of them, and where numbers go."""

import math
from pathlib import Path
from typing import Annotated, Literal

import typer

from analysis.tables.filters import drop_worst_loss, keep_where
from analysis.tables.run_table import RunTable, read_runs
from wardlaw.errors import RecordError

Runs = Annotated[
    Path, typer.Argument(metavar="RUNS", help="Folder of run records, or a .csv or .parquet table of runs.")
]
Columns = Annotated[str, typer.Option(help="N=params,D=tokens,L=loss: which column is which letter.")]
Where = Annotated[list[str] | None, typer.Option(help="Condition of the runs to use, as in SQL; repeatable.")]
DropWorst = Annotated[int, typer.Option(min=0, help="Leave out so many of the largest losses.")]
Group = Annotated[
    str, typer.Option(help="Columns whose values are taken apart (run records: arm); none: together.")
]
Unit = Annotated[Literal["token", "event"], typer.Option(help="Loss of run records per token or event.")]
Replicates = Annotated[int, typer.Option("--bootstrap", min=100, help="Bootstrap replicates.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the bootstrap.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the numbers here.")]


def chosen_runs(
    runs: Path, columns: str, where: list[str] | None, worst: int, unit: str, target: str = "L"
) -> RunTable:
    """The runs that the options name: read, filtered, and without the worst by the law's target."""
    table = read_runs(runs, parse_assignments(columns, "--columns"), unit=unit)
    for condition in where or []:
        table = keep_where(table, condition)
    return drop_worst_loss(table, worst, target) if worst else table


def parse_assignments(text: str, where: str) -> dict[str, str]:
    """``N=params,D=tokens`` as a dictionary.

    Examples
    --------
    >>> parse_assignments("N=Model Size, L=loss", "--columns")
    {'N': 'Model Size', 'L': 'loss'}
    """
    assigned: dict[str, str] = {}
    for part in filter(str.strip, text.split(",")):
        name, _, value = (piece.strip() for piece in part.partition("="))
        if not (name and value):
            raise RecordError(
                f"'{part.strip()}' is not of the form name=value",
                where=where,
                remedy="Write, say, N=params,D=tokens",
            )
        if name in assigned:
            raise RecordError(f"{name} is given twice", where=where, remedy="Give it once")
        assigned[name] = value
    return assigned


def numbers(text: str, where: str) -> dict[str, float]:
    """``N=1e9,D=2e10`` as numbers by name."""
    values = {}
    for name, value in parse_assignments(text, where).items():
        try:
            values[name] = float(value)
        except ValueError:
            raise RecordError(f"'{value}' is not a number", where=f"{where} {name}") from None
        if not math.isfinite(values[name]):
            raise RecordError(f"'{value}' is not a finite number", where=f"{where} {name}")
    return values
