"""``wardlaw analysis privacy``."""

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
from analysis.privacy.statements import Setting
from analysis.privacy.surface import PrivateSurface, private_surfaces
from analysis.tables.records import LOSSES, load_runs
from analysis.uncertainty.interval_text import interval_text
from analysis.uncertainty.intervals import DEFAULT_REPLICATES, DEFAULT_SEED, Interval
from analysis.wording import count, significant
from wardlaw.errors import RecordError


def privacy(
    runs: Annotated[Path, typer.Argument(metavar="RUNS", help="Folder of run records.")],
    patients: Annotated[int, typer.Option(min=1, help="n: train patients of a site.")],
    delta: Annotated[float, typer.Option(help="delta of every epsilon, below 1 / n.")],
    epsilon: Annotated[list[float] | None, typer.Option(help="Repeatable; 1, 2, 4 and 8 if none.")] = None,
    bootstrap: Replicates = DEFAULT_REPLICATES,
    seed: Seed = DEFAULT_SEED,
    loss: Unit = "token",
    json_file: JsonFile = None,
) -> None:
    """Say what an epsilon costs in loss at each size, at the draws and steps of the private runs."""
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
        price_table(surface, setting, epsilon or EPSILONS)
        for surface in surfaces
        for setting in _settings(surface, patients, delta)
    )
    console = Console()
    kinds = set(loaded.table["synthetic"].to_list())
    if True in kinds:
        console.print(Text("SYNTHETIC: some or all of these runs used generated patients", style="bold"))
    for part in prices.partition_by("surface", "batch_patients", "steps", maintain_order=True):
        console.print(_describe(part))
    if json_file:
        write_numbers(json_file, {"source": str(runs), "prices": prices.to_dicts()})


def _settings(surface: PrivateSurface, patients: int, delta: float) -> list[Setting]:
    """Draws and steps that private runs of the surface made."""
    made = surface.private.select("batch_patients", "steps").unique().sort("batch_patients", "steps")
    return [Setting(patients, drawn, steps, delta) for drawn, steps in made.iter_rows()]


def _describe(prices: pl.DataFrame) -> Table:
    first = prices.row(0, named=True)
    table = Table(
        title=f"{first['surface']}: {first['patients']:,} patients a site, {first['batch_patients']:,} a "
        f"step, {first['steps']:,} steps, delta {first['delta']:.3g}",
        title_justify="left",
        caption="loss above that without noise, by the fitted law, with its 95 % interval",
        caption_justify="left",
    )
    for heading in ("epsilon", "sigma", "S", "parameters", "loss", "above S = 0"):
        table.add_column(heading, justify="right")
    for row in prices.iter_rows(named=True):
        known = row["loss"] is not None
        table.add_row(
            f"{row['epsilon']:g}",
            significant(row["noise_multiplier"]) if row["noise_multiplier"] else "",
            significant(row["ratio"]) if row["ratio"] else "",
            count(row["parameters"]),
            significant(row["loss"], 4) if known else "",
            _above(row) if known else str(row["reason"]),
        )
    return table


def _above(row: dict[str, float]) -> str:
    if row["percent"] is None:
        return "no run is without noise"
    return interval_text(Interval(row["percent"], row["percent_low"], row["percent_high"]), unit=" %")
