"""``wardlaw analysis report``."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from analysis.options import Replicates, Seed, Unit
from analysis.report.cautions import cautions
from analysis.report.report import build_report, write_report
from analysis.report.sentences import data_label, headline


def report(
    runs: Annotated[Path, typer.Argument(metavar="RUNS", help="Folder of run records, at any depth.")],
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
    for sentence in cautions(built.runs, built.findings):
        console.print(f"[dim]- {sentence}[/dim]", highlight=False)
    if built.runs.left_out:
        console.print(f"{len(built.runs.left_out)} runs left out:", highlight=False)
    for run in built.runs.left_out:
        console.print(f"  {run.run}: {run.reason}", highlight=False, markup=False)
    console.print(f"Report: {page}", highlight=False, soft_wrap=True)
