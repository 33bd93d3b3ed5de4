"""A comparison of candidate laws as the terminal shows it."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from analysis.wording import significant

_WIDTH = 110
_OF_LOGS = {"log": " of logs", "raw": ""}


def render_selection(selection: Mapping[str, Any]) -> str:
    """Plain text of a selection's JSON: each candidate's errors on the held-out runs, and the choice."""
    console = Console(width=_WIDTH, color_system=None, highlight=False)
    with console.capture() as capture:
        console.print(describe_selection(selection))
    return capture.get()


def describe_selection(selection: Mapping[str, Any]) -> RenderableType:
    """The same for a rich console."""
    table = Table(
        title=f"{selection['runs_fitted']} runs fitted, {selection['runs_held_out']} with "
        f"{selection['holdout']} held out",
        title_justify="left",
        caption=f"residual: mean |measured - predicted|{_OF_LOGS[selection['scale']]} on the held-out runs",
        caption_justify="left",
    )
    table.add_column("candidate", no_wrap=True)
    for column in ("free", "objective", "residual", "mean error", "largest error"):
        table.add_column(column, justify="right")
    for one in selection["candidates"]:
        held_out = one["held_out"]
        table.add_row(
            one["name"],
            str(one["free_parameters"]),
            significant(one["objective"], 4),
            significant(held_out["mean_residual"]),
            f"{100 * held_out['mean_relative_error']:.2f} %",
            f"{100 * held_out['largest_relative_error']:.2f} %",
            style="bold" if one["name"] == selection["chosen"] else "",
        )
    warnings = [f"{one['name']}: {warning}" for one in selection["candidates"] for warning in one["warnings"]]
    chosen = [f"chosen: {selection['chosen']}"]
    if selection["nested"]:
        chosen.append(f"simplest that these runs do not tell from it: {selection['simplest_not_told_apart']}")
    return Group(
        table,
        *map(Text, chosen),
        *(Text(f"! {warning}", style="yellow") for warning in (*selection["cautions"], *warnings)),
    )
