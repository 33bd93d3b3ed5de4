"""Show a conversion while it runs, and tell what it did."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import Progress as Bars
from rich.progress import SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from client.ehr.summary import Progress, Summary, silent

_SITES_SHOWN = 12


@contextmanager
def shown_progress(terminal: bool) -> Iterator[Progress]:
    """Rows done by table on a terminal's standard error; nothing elsewhere."""
    if not terminal:
        yield silent
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:22}"),
        TextColumn("{task.completed:>13,.0f}"),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def progress(table: str, rows: int) -> None:
            if table not in tasks:
                for task in tasks.values():
                    bars.stop_task(task)
                tasks[table] = bars.add_task(table, total=None)
            bars.advance(tasks[table], rows)

        yield progress


def told(summary: Summary, out: Path) -> str:
    """Plain-text account of a conversion."""
    lines = [f"{summary.source} -> {out}"]
    for name, counts in summary.tables.items():
        faults = [f"{number:,} quarantined: {reason}" for reason, number in counts.faults().items()]
        faults += [f"{counts.values_nulled:,} values not finite"] if counts.values_nulled else []
        lines.append(
            f"  {name:22}{counts.rows:>12,} rows{counts.events:>12,} events  {'; '.join(faults)}".rstrip()
        )
    if summary.absent:
        lines.append(f"  optional tables that are absent: {', '.join(summary.absent)}")
    shown = list(summary.sites.items())[:_SITES_SHOWN]
    lines += [
        f"  site {site:17}{sizes['subjects']:>12,} patients{sizes['events']:>9,} events"
        for site, sizes in shown
    ]
    if (more := len(summary.sites) - len(shown)) > 0:
        lines.append(f"  and {more} more sites")
    return "\n".join(lines)
