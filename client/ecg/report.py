"""Show a conversion while it runs, and tell what it did."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from client.ecg.shard import SPLITS, SignalManifest

Progress = Callable[[int, int], None]
"""Told of records done since the last time, and of all there are."""

_SITES_SHOWN = 12


@contextmanager
def shown_progress(terminal: bool) -> Iterator[Progress]:
    """A bar of records on a terminal's standard error; nothing elsewhere."""
    if not terminal:
        yield lambda done, total: None
        return
    columns = (TextColumn("records"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("records", total=None)

        def progress(done: int, total: int) -> None:
            bars.update(task, advance=done, total=total)

        yield progress


def told(source: str, manifests: dict[str, SignalManifest], out: Path) -> str:
    """Plain-text account of a conversion."""
    lines = [f"{source} -> {out}"]
    shown = list(manifests.items())[:_SITES_SHOWN]
    for site, manifest in shown:
        taken = "  ".join(
            f"{split} {manifest.splits[split].records:,} ({manifest.splits[split].patients:,} patients)"
            for split in SPLITS
        )
        lines.append(f"  {site:20}{manifest.records_read:>9,} records read  {taken}")
        lines += [f"      {number:,} not taken: {reason}" for reason, number in manifest.quarantined.items()]
        lines += [f"      {number:,} mended: {repair}" for repair, number in manifest.repairs.items()]
    if (more := len(manifests) - len(shown)) > 0:
        lines.append(f"  and {more} more sites")
    return "\n".join(lines)
