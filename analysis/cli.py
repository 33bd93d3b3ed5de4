"""``wardlaw analysis``: fit laws to run records, and write the report."""

import json
from pathlib import Path
from typing import Annotated, Literal

import polars as pl
import typer
from rich.console import Console
from rich.table import Table

from analysis.fits.fit import LAWS, Fit, fit_arm
from analysis.report.cautions import cautions
from analysis.report.report import build_report, write_report
from analysis.report.sentences import data_label, headline
from analysis.report.wording import interval_text
from analysis.tables.records import LOSSES, LeftOut, load_runs
from analysis.uncertainty.bootstrap import common_uniforms
from wardlaw.errors import RecordError
from wardlaw.files import write_text_atomically

app = typer.Typer(help="Fit, compare and report run records.", no_args_is_help=True)
RunsFolder = Annotated[Path, typer.Argument(metavar="RUNS", help="Folder of run records, at any depth.")]
Unit = Annotated[Literal["token", "event"], typer.Option(help="Loss per token or per event.")]
Replicates = Annotated[int, typer.Option("--bootstrap", min=100, help="Bootstrap replicates.")]
Seed = Annotated[int, typer.Option(help="Seed of the bootstrap.")]


@app.command()
def report(
    runs: RunsFolder,
    out: Annotated[Path, typer.Option(help="Folder of report.html and report.json.")],
    title: Annotated[str, typer.Option(help="Title of the page; if empty, from the folder's name.")] = "",
    loss: Unit = "token",
    bootstrap: Replicates = 2000,
    seed: Seed = 0,
) -> None:
    """Write one self-contained HTML page about a study, and its numbers as JSON."""
    built = build_report(runs, title=title, unit=loss, replicates=bootstrap, seed=seed)
    page = write_report(built, out)
    console = Console()
    kind, note = data_label(built.runs)
    console.print(f"[bold]{kind.upper()}[/bold] {note}", highlight=False)
    for sentence in headline(built.runs, built.findings):
        console.print(f"  {sentence}", highlight=False)
    console.print(_fit_table(list(built.findings.curves.values())))
    for sentence in cautions(built.runs, built.findings):
        console.print(f"[dim]- {sentence}[/dim]", highlight=False)
    _print_left_out(console, built.runs.left_out)
    console.print(f"Report: {page}", highlight=False, soft_wrap=True)


@app.command()
def fit(
    runs: RunsFolder,
    law: Annotated[Literal["power", "pure-power", "chinchilla"], typer.Option(help="Law to fit.")],
    group: Annotated[str, typer.Option(help="Column whose values are fitted apart.")] = "arm",
    loss: Unit = "token",
    bootstrap: Replicates = 2000,
    seed: Seed = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the fits here.")] = None,
) -> None:
    """Fit one law to each group of runs and print it with its intervals."""
    loaded = load_runs(runs)
    if group not in loaded.table.columns:
        raise RecordError(
            f"there is no column '{group}'", where="--group", remedy=f"Use one of {loaded.table.columns}"
        )
    uniforms = common_uniforms(loaded.table, bootstrap, seed)
    fits = [
        fit_arm(table.with_columns(arm=pl.lit(str(value))), LAWS[law](), loss=LOSSES[loss], uniforms=uniforms)
        for (value,), table in loaded.table.group_by(group, maintain_order=True)
    ]
    console = Console()
    console.print(_fit_table(fits))
    for found in fits:
        for warning in found.warnings:
            console.print(f"[dim]- {found.arm}: {warning}[/dim]", highlight=False)
    _print_left_out(console, loaded.left_out)
    if json_file:
        dropped = [vars(left_out) for left_out in loaded.left_out]
        content = [found.to_json() | {"dropped": dropped} for found in fits]
        write_text_atomically(json_file, json.dumps(content, indent=2) + "\n")


def _fit_table(fits: list[Fit]) -> Table:
    laws = list(dict.fromkeys(fit.law.formula for fit in fits))
    table = Table(title=" | ".join(laws) or "No law could be fitted", caption="95 % intervals")
    parameters = list(dict.fromkeys(name for fit in fits for name in fit.law.parameters))
    for column in ("", *parameters, "runs", "starts at best", "objective"):
        table.add_column(column)
    for fit in fits:
        values = (interval_text(fit.intervals[name]) if name in fit.intervals else "" for name in parameters)
        convergence = fit.law.convergence_
        table.add_row(
            fit.arm,
            *values,
            str(fit.law.n_),
            f"{100 * convergence.reached_best:.0f} % of {convergence.starts}",
            f"{fit.law.objective_:.3g}",
        )
    return table


def _print_left_out(console: Console, left_out: tuple[LeftOut, ...]) -> None:
    if left_out:
        console.print(f"{len(left_out)} runs left out:", highlight=False)
    for run in left_out:
        console.print(f"  {run.run}: {run.reason}", highlight=False, markup=False)
