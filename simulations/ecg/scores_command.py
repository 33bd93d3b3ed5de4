"""``wardlaw simulate ecg-scores``."""

from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from client.ecg.evaluation.methods import METHODS
from simulations.ecg.score_setting import ALL, HOME
from simulations.ecg.scores import require_scorable, score_run
from wardlaw.errors import ConfigError, RecordError
from wardlaw.files import write_atomically
from wardlaw.records import find_records, load_record

SHOWN = ("auroc", "auprc", "f_measure", "challenge_metric")


def ecg_scores(
    runs: Annotated[Path, typer.Argument(help="Folder of run records.")],
    method: Annotated[
        list[str] | None,
        typer.Option(help="own, linear, attention or finetune; several times; all if absent."),
    ] = None,
    outside: Annotated[
        Path | None,
        typer.Option(help="Federation of sites never seen; else the run's own that took no part."),
    ] = None,
    only: Annotated[str, typer.Option(help="Only runs whose name has this text.")] = "",
    bootstrap: Annotated[
        int | None, typer.Option(min=0, help="Resamples of patients; the run's own number if absent.")
    ] = None,
    table: Annotated[Path | None, typer.Option(help="CSV of all rows of these runs, to write.")] = None,
) -> None:
    """Score the diagnoses of ECG models, at the run's sites and at sites that it never saw."""
    methods = tuple(method or METHODS)
    if unknown := set(methods) - METHODS.keys():
        raise ConfigError(
            f"no method {', '.join(sorted(unknown))}",
            where="--method",
            remedy=f"Choose from {', '.join(METHODS)}",
        )
    records = [load_record(folder) for folder in find_records(runs) if only in folder.name]
    if not records:
        raise RecordError("no finished run here", where=str(runs), remedy="Look at RUNS and --only")
    for record in records:
        require_scorable(record)
    scored = []
    for record in records:
        rows = score_run(record, methods, outside, bootstrap)
        typer.echo(told(record.folder.name, rows))
        if not rows.is_empty():
            scored.append(rows)
    if not scored:
        raise ConfigError(
            "no method is for the models of these runs", where="--method", remedy="Add linear, or attention"
        )
    if table:
        write_atomically(table, pl.concat(scored).write_csv)
        typer.echo(f"-> {table}")


def told(run: str, rows: pl.DataFrame) -> str:
    """A run's rows about all sites of a kind, as a table with 95 % intervals."""
    if rows.is_empty():
        return f"{run}\n  no method is for this model"
    columns = "".join(f"  {name:24}" for name in SHOWN)
    lines = [run, f"  {'replica':12}{'method':11}{'where':11}{'records':>8}{'classes':>8}{columns}"]
    for row in rows.filter((pl.col("site") == ALL) | (pl.col("where") == HOME)).iter_rows(named=True):
        line = (
            f"  {row['replica']:12}{row['method']:11}{row['where']:11}{row['records']:>8,}{row['classes']:>8}"
        )
        lines.append(line + "".join(f"  {_figure(row, name):24}" for name in SHOWN))
    return "\n".join(line.rstrip() for line in lines)


def _figure(row: dict[str, float | None], name: str) -> str:
    value, low, high = (
        "-" if row[key] is None else f"{row[key]:.3f}" for key in (name, f"{name}_low", f"{name}_high")
    )
    return f"{value} [{low}, {high}]"
