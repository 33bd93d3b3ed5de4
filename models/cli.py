"""``wardlaw models``: what the ladders hold, what objectives there are."""

import json
from typing import Annotated, Any, get_args

import typer
from rich.console import Console
from rich.table import Column, Table

from models.ecg import inference_commands
from models.ecg import listing as ecg
from models.ehr import listing as ehr
from wardlaw.config.model import ECG_FAMILIES
from wardlaw.config.objective import ObjectiveName
from wardlaw.errors import ConfigError

app = typer.Typer(no_args_is_help=True, help="List the ladders with exact parameters and FLOPs.")

FAMILIES = ("decoder", *ECG_FAMILIES)
CAPTIONS = {
    "decoder": "N: parameters without embedding and head. MFLOP are per token.",
    "ecg": "N: parameters of the backbone. MFLOP are per crop; training's hold the objective's.",
}
HEADINGS = {
    "decoder": ("size", "width", "depth", "heads", "hidden", "N", "all", "MFLOP", "training"),
    "ecg": ("size", "width", "stride", "depth", "N", "all", "MFLOP", "training"),
}


@app.callback()
def models() -> None:
    """Models of the ladders."""


@app.command("list")
def list_rungs(
    family: Annotated[list[str] | None, typer.Option(help="Family, several times; all if absent.")] = None,
    vocabulary_size: Annotated[int, typer.Option(min=1, help="Tokens of the decoder's vocabulary.")] = 4096,
    classes: Annotated[int, typer.Option(min=1, help="Classes of an ECG's diagnoses.")] = 26,
    objective: Annotated[str, typer.Option(help="Objective of the ECG models.")] = "bce",
    context: Annotated[int, typer.Option(min=8, help="Tokens of a window, or samples of a crop.")] = 512,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the rungs of each family: shape, parameters, FLOPs."""
    chosen = tuple(family or FAMILIES)
    if unknown := set(chosen) - set(FAMILIES):
        raise ConfigError(
            f"no family {', '.join(sorted(unknown))}", remedy=f"Choose from {', '.join(FAMILIES)}"
        )
    if objective not in get_args(ObjectiveName) or objective == "next-token":
        names = ", ".join(name for name in get_args(ObjectiveName) if name != "next-token")
        raise ConfigError(f"no ECG objective '{objective}'", remedy=f"Choose from {names}")
    ladders = {
        name: ehr.ladder(vocabulary_size, context)
        if name == "decoder"
        else ecg.ladder(name, objective, classes, context)  # type: ignore[arg-type]
        for name in chosen
    }
    if as_json:
        rows = [{"family": name, **row} for name, ladder in ladders.items() for row in ladder]
        typer.echo(json.dumps(rows, indent=2))
        return
    for name, rows in ladders.items():
        what = f"vocabulary {vocabulary_size:,}" if name == "decoder" else f"{objective}, {classes} classes"
        print_ladder(name, rows, f"{name}: {what}, context {context:,}")


def print_ladder(family: str, rows: list[dict[str, Any]], title: str) -> None:
    """Print one ladder as a table."""
    kind = "decoder" if family == "decoder" else "ecg"
    table = Table(
        *(Column(heading, justify="right", no_wrap=True) for heading in HEADINGS[kind]),
        title=title,
        caption=CAPTIONS[kind],
        box=None,
        padding=(0, 1, 0, 0),
    )
    for row in rows:
        *shape, forward, training = row.values()
        cells = (f"{cell:,}" if isinstance(cell, int) else cell for cell in shape)
        table.add_row(*cells, *(f"{int(flops) / 1e6:,.2f}" for flops in (forward, training)))
    Console().print(table)


app.command("export")(inference_commands.export)
app.command("inference")(inference_commands.inference)


@app.command("objectives")
def objectives(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the ECG objectives: target, chance level, what is averaged, whether DP can hold."""
    rows = ecg.describe_objectives()
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        chance = "depends on the data" if row["chance_nats"] is None else f"{row['chance_nats']:.3f} nats"
        typer.echo(f"{row['name']}: loss per {row['target']}, chance {chance}")
        typer.echo(f"    averaged over sites: {row['averaged']}")
        typer.echo(f"    per-sample DP: {'no, ' + row['coupling'] if row['coupling'] else 'possible'}")
