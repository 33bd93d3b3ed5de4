"""``wardlaw models``: what the ladders hold."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from models.counts import flops_per_token, parameters
from models.ehr.ladder import RUNGS, rung
from wardlaw.config.model import ModelSection

app = typer.Typer(no_args_is_help=True, help="List the ladders with exact parameters and FLOPs.")


HEADINGS = ("size", "width", "depth", "heads", "hidden", "N", "all", "MFLOP", "training")


@app.callback()
def models() -> None:
    """Models of the ladders."""


@app.command("list")
def list_rungs(
    vocabulary_size: Annotated[int, typer.Option(min=1, help="Tokens of the vocabulary.")] = 4096,
    context: Annotated[int, typer.Option(min=8, help="Tokens of a full window, for the FLOPs.")] = 512,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the decoder's rungs: shape, parameters, FLOPs per token."""
    rows = [describe(size, vocabulary_size, context) for size in RUNGS]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table(
        *(Column(heading, justify="right", no_wrap=True) for heading in HEADINGS),
        title=f"Decoder ladder: vocabulary {vocabulary_size:,}, context {context:,}",
        caption="N: parameters without embedding and head. MFLOP are per token.",
        box=None,
        padding=(0, 1, 0, 0),
    )
    for row in rows:
        *shape, forward, training = row.values()
        cells = (f"{cell:,}" if isinstance(cell, int) else cell for cell in shape)
        table.add_row(*cells, *(f"{int(flops) / 1e6:,.2f}" for flops in (forward, training)))
    Console().print(table)


def describe(size: str, vocabulary_size: int, context: int) -> dict[str, str | int]:
    """One rung as a row: FLOPs are per token of a full window, with the head."""
    section, shape = ModelSection(size=size, context=context), rung(size)
    count = parameters(section, vocabulary_size)
    flops = flops_per_token(section, vocabulary_size)
    return {
        "size": size,
        "width": shape.width,
        "depth": shape.depth,
        "heads": shape.heads,
        "hidden": shape.hidden,
        "parameters": count.blocks,
        "with_embeddings": count.total,
        "forward_flops": round(flops.total),
        "training_flops": round(3 * flops.total),
    }
