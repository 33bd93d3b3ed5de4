"""``wardlaw analysis privacy``."""

from itertools import product
from pathlib import Path
from typing import Annotated

import polars as pl
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.numbers_file import write_numbers
from analysis.options import JsonFile, Replicates, Seed, Unit
from analysis.privacy.price import EPSILONS, price_table
from analysis.privacy.price_text import above_text, batch_note
from analysis.privacy.statements import Setting
from analysis.privacy.surface import PrivateSurface, private_surfaces
from analysis.tables.records import LOSSES, load_runs
from analysis.uncertainty.intervals import DEFAULT_REPLICATES, DEFAULT_SEED
from analysis.wording import count, significant
from wardlaw.errors import RecordError


def privacy(
    runs: Annotated[Path, typer.Argument(metavar="RUNS", help="Folder of run records.")],
    patients: Annotated[list[int], typer.Option(min=1, help="n: train patients of a site; repeatable.")],
    delta: Annotated[float, typer.Option(help="delta of every epsilon, below 1 / n.")],
    epsilon: Annotated[list[float] | None, typer.Option(help="Repeatable; 1, 2, 4 and 8 if none.")] = None,
    batch: Annotated[
        list[int] | None, typer.Option(min=1, help="B: patients a step; repeatable. The runs' if none.")
    ] = None,
    steps: Annotated[list[int] | None, typer.Option(min=1, help="T: repeatable. The runs' if none.")] = None,
    extrapolate: Annotated[
        bool, typer.Option("--extrapolate", help="Also beyond the batches and steps of the runs.")
    ] = False,
    bootstrap: Replicates = DEFAULT_REPLICATES,
    seed: Seed = DEFAULT_SEED,
    loss: Unit = "token",
    json_file: JsonFile = None,
) -> None:
    """Say what an epsilon costs in loss at each size, by the fitted law, with 95 % intervals."""
    if not 0 < delta < 1:
        raise RecordError(f"{delta:g} does not lie between 0 and 1", where="--delta", remedy="Say, 1e-6")
    loaded = load_runs(runs)
    surfaces = private_surfaces(loaded, LOSSES[loss], replicates=bootstrap, seed=seed)
    if not surfaces:
        raise RecordError(
            "no arm has runs at several noise-batch ratios",
            where=str(runs),
            remedy="Run a study with two values of privacy.noise-multiplier or more",
        )
    prices = pl.concat(
        price_table(
            surface, Setting(number, drawn, made, delta), epsilon or EPSILONS, extrapolate=extrapolate
        )
        for surface in surfaces
        for number in patients
        for drawn, made in _draws(surface, batch, steps)
    )
    console = Console()
    kinds = set(loaded.table["synthetic"].to_list())
    if True in kinds:
        console.print(Text("SYNTHETIC: some or all of these runs used generated patients", style="bold"))
    keys = ("surface", "patients", "batch_patients", "steps")
    for part in prices.partition_by(keys, maintain_order=True):
        console.print(_describe(part))
    if json_file:
        write_numbers(json_file, {"source": str(runs), "prices": prices.to_dicts()})


def _draws(
    surface: PrivateSurface, batch: list[int] | None, steps: list[int] | None
) -> list[tuple[int, int]]:
    """Patients a step and steps: those asked for, and for what is not asked those of the private runs."""
    made = surface.private.select("batch_patients", "steps").unique().sort("batch_patients", "steps").rows()
    if not batch and not steps:
        return made
    return list(
        product(batch or sorted({drawn for drawn, _ in made}), steps or sorted({one for _, one in made}))
    )


def _describe(prices: pl.DataFrame) -> Table:
    first = prices.row(0, named=True)
    table = Table(
        title=f"{first['surface']}: {first['patients']:,} patients a site, {first['batch_patients']:,} a "
        f"step, {first['steps']:,} steps, delta {first['delta']:.3g}",
        title_justify="left",
        caption=". ".join(
            [
                f"loss above that without noise, by the {first['law']} law, with its 95 % interval",
                *batch_note(prices),
            ]
        ),
        caption_justify="left",
    )
    for heading in ("epsilon", "sigma", "S", "parameters", "loss", "above S = 0"):
        table.add_column(heading, justify="right")
    for row in _once(prices).iter_rows(named=True):
        known = row["loss"] is not None
        table.add_row(
            f"{row['epsilon']:g}",
            significant(row["noise_multiplier"]) if row["noise_multiplier"] else "",
            significant(row["ratio"]) if row["ratio"] else "",
            count(row["parameters"]) if known else "all",
            f"{row['bound']} {significant(row['loss'], 4)}".strip() if known else "",
            above_text(row) or "no run is without noise" if known else str(row["reason"]),
        )
    return table


def _once(prices: pl.DataFrame) -> pl.DataFrame:
    """Without the rows that repeat why an epsilon has no price, whatever the size."""
    return prices.filter(pl.col("loss").is_not_null() | pl.col("epsilon").is_first_distinct())
