"""What results have in common on a terminal: plain text, facts, doubts, and what was left out."""

from collections.abc import Iterable, Mapping

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

_WIDTH = 116
_NAMED = 4


def plain_text(result: RenderableType) -> str:
    """A result in lines of at most 116 characters, without colours."""
    console = Console(width=_WIDTH, color_system=None, highlight=False)
    with console.capture() as capture:
        console.print(result)
    return capture.get()


def facts_table(facts: Mapping[str, str]) -> Table:
    """A line a fact, without those that have nothing to say."""
    table = Table(show_header=False, box=None, padding=(0, 1))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for name, value in facts.items():
        if value:
            table.add_row(name, value)
    return table


def doubts(warnings: Iterable[str]) -> list[Text]:
    """A line a warning."""
    return [Text(f"! {warning}", style="yellow") for warning in warnings]


def left_out(runs: Iterable[Mapping[str, str]]) -> list[Text]:
    """A line a reason, with the first runs that it holds for.

    Parameters
    ----------
    runs : iterable of mapping
        ``run`` and ``reason``.

    Examples
    --------
    >>> for line in left_out([{"run": f"row {row}", "reason": "L is missing"} for row in (3, 9)]):
    ...     print(line)
    left out: 2, L is missing: row 3, row 9
    """
    by_reason: dict[str, list[str]] = {}
    for run in runs:
        by_reason.setdefault(run["reason"], []).append(run["run"])
    return [
        Text(
            f"  left out: {len(names)}, {reason}: {', '.join(names[:_NAMED])}"
            + ", ..." * (len(names) > _NAMED)
        )
        for reason, names in by_reason.items()
    ]
