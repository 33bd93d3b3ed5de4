"""What the commands of this room have in common: where runs are, which of them, and where numbers go."""

import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from analysis.tables.columns import parse_assignments
from analysis.tables.filters import drop_worst_loss, keep_where
from analysis.tables.run_table import RunTable, read_runs
from wardlaw.errors import RecordError
from wardlaw.files import write_text_atomically

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
Seed = Annotated[int, typer.Option(help="Seed of the bootstrap.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the numbers here.")]


def chosen_runs(
    runs: Path, columns: str, where: list[str] | None, worst: int, unit: str, target: str = "L"
) -> RunTable:
    """The runs that the options name: read, filtered, and without the worst."""
    table = read_runs(runs, parse_assignments(columns, "--columns"), unit=unit)
    for condition in where or []:
        table = keep_where(table, condition)
    if not worst:
        return table
    return drop_worst_loss(table.require([target]), worst, target)


def numbers(text: str, where: str) -> dict[str, float]:
    """``N=1e9,D=2e10`` as numbers by name."""
    values = {}
    for name, value in parse_assignments(text, where).items():
        try:
            values[name] = float(value)
        except ValueError:
            raise RecordError(f"'{value}' is not a number", where=f"{where} {name}") from None
    return values


def write_numbers(path: Path, content: Any) -> None:
    """Write JSON; null where there is no number."""
    write_text_atomically(path, json.dumps(_without_nan(content), indent=2, allow_nan=False) + "\n")


def _without_nan(value: Any) -> Any:
    match value:
        case float() if not math.isfinite(value):
            return None
        case dict():
            return {key: _without_nan(item) for key, item in value.items()}
        case list() | tuple():
            return [_without_nan(item) for item in value]
        case _:
            return value
