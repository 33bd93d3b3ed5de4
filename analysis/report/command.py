"""``wardlaw analysis report``."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from analysis.laws.registry import find_law
from analysis.options import Columns, DropWorst, Group, Replicates, Runs, Seed, Unit, Where, chosen_runs
from analysis.report.cautions import cautions
from analysis.report.report import build_report, write_report
from analysis.report.sentences import data_label, headline
from analysis.report.table_findings import TableRequest
from analysis.report.table_report import build_table_report, write_table_report
from analysis.report.table_sentences import table_cautions, table_headline
from analysis.tables.records import LeftOut
from analysis.uncertainty.intervals import DEFAULT_REPLICATES, DEFAULT_SEED
from wardlaw.errors import RecordError


def report(
    runs: Runs,
    out: Annotated[Path, typer.Option(help="Folder of report.html, report.json and figures.")],
    title: Annotated[str, typer.Option(help="Title of the page; if empty, from the name of RUNS.")] = "",
    law: Annotated[
        list[str] | None, typer.Option(help="Law to fit to a table; if none, by its columns; repeatable.")
    ] = None,
    columns: Columns = "",
    where: Where = None,
    drop_worst_loss: DropWorst = 0,
    group: Group = "",
    reference: Annotated[str, typer.Option(help="Group to compare with; the first if empty.")] = "",
    objective: Annotated[str, typer.Option(help="huber-log, squares-log or squares.")] = "",
    holdout: Annotated[str, typer.Option(help="Condition of runs to keep out and predict.")] = "",
    tolerance: Annotated[
        float, typer.Option(min=0.0, help="Fraction by which compute may differ within a budget.")
    ] = 0.01,
    loss: Unit = "token",
    bootstrap: Replicates = DEFAULT_REPLICATES,
    seed: Seed = DEFAULT_SEED,
) -> None:
    """Write one self-contained HTML page about runs, its numbers as JSON and its figures as files.

    A folder of run records is reported as a study of its arms. A table, or a folder with any option that
    speaks of laws, columns, rows or groups, is reported as runs of unknown origin.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordError(f"cannot be made: {error.strerror}", where=f"--out {out}") from None
    if runs.is_dir() and not (
        law or columns or where or drop_worst_loss or group or reference or objective or holdout
    ):
        study = build_report(runs, title=title, unit=loss, replicates=bootstrap, seed=seed)
        page = write_report(study, out)
        label, left_out = data_label(study.runs), study.runs.left_out
        found, doubts = headline(study.runs, study.findings), cautions(study.runs, study.findings)
    else:
        target = find_law(law[0]).target if law else "L"
        table = chosen_runs(runs, columns, where, drop_worst_loss, loss, target)
        asked = TableRequest(
            tuple(law or ()), group, reference, objective, holdout, tolerance, bootstrap, seed
        )
        built = build_table_report(table, asked, title=title)
        page = write_table_report(built, out)
        label, left_out = built.label, built.dropped
        found, doubts = table_headline(built.findings), table_cautions(built.findings)
    _print(label, found, doubts, left_out, page)


def _print(
    label: tuple[str, str],
    found: Iterable[str],
    doubts: Iterable[str],
    left_out: tuple[LeftOut, ...],
    page: Path,
) -> None:
    console = Console()
    kind, note = label
    console.print(f"[bold]{kind.upper()}[/bold] {note}", highlight=False)
    for sentence in found:
        console.print(f"  {sentence}", highlight=False, markup=False)
    for sentence in doubts:
        console.print(f"- {sentence}", style="dim", highlight=False, markup=False)
    if left_out:
        console.print(f"{len(left_out)} runs left out:", highlight=False)
    for run in left_out:
        console.print(f"  {run.run}: {run.reason}", highlight=False, markup=False)
    console.print(f"Report: {page}", highlight=False, soft_wrap=True)
