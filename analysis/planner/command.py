"""``wardlaw analysis plan``."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from analysis.numbers_file import write_numbers
from analysis.options import (
    Columns,
    JsonFile,
    Replicates,
    Runs,
    Seed,
    Unit,
    Where,
    chosen_runs,
)
from analysis.planner.consortium import Consortium, Privacy, read_shards
from analysis.planner.planning import plan_training
from analysis.planner.recorded import Roles
from analysis.planner.rendering import describe_plan


def plan(
    runs: Runs,
    sites: Annotated[Path, typer.Option(help="CSV of the shards: site, patients, tokens.")],
    compute: Annotated[float, typer.Option(help="Training FLOPs of all sites together.")],
    epsilon: Annotated[
        float | None, typer.Option(help="Privacy of a patient over the whole training.")
    ] = None,
    delta: Annotated[
        float | None, typer.Option(help="Its delta; 1 / (10 patients of the largest site).")
    ] = None,
    bandwidth: Annotated[float, typer.Option(help="Mbit/s of a site's link, each way.")] = 100.0,
    speed: Annotated[float | None, typer.Option(help="FLOP/s of a site; as in the runs if absent.")] = None,
    federated: Annotated[str, typer.Option(help="Arm to plan for; the first federated one if empty.")] = "",
    centralised: Annotated[str, typer.Option(help="Arm of pooled training, if not Centralised.")] = "",
    local: Annotated[str, typer.Option(help="Arm of sites alone, if not Local.")] = "",
    batch_tokens: Annotated[
        int | None, typer.Option(min=1, help="Tokens a step; as in the runs if absent.")
    ] = None,
    local_steps: Annotated[
        int | None, typer.Option(min=1, help="Local steps; as in the runs if absent.")
    ] = None,
    group: Annotated[
        str, typer.Option(help="Column of the arms: arm, of run records surface, if empty.")
    ] = "",
    columns: Columns = "",
    where: Where = None,
    bootstrap: Replicates = 2000,
    seed: Seed = 42,
    loss: Unit = "token",
    json_file: JsonFile = None,
) -> None:
    """Say what a consortium should train, what it would get, and how far that can be trusted."""
    table = chosen_runs(runs, columns, where, 0, loss)
    shards = read_shards(sites)
    if delta is None:
        delta = 0.1 / max(shard.patients for shard in shards)
    made = plan_training(
        table,
        Consortium(shards, compute, None if epsilon is None else Privacy(epsilon, delta), bandwidth, speed),
        group=group,
        roles=Roles(federated, centralised, local),
        batch_tokens=batch_tokens,
        local_steps=local_steps,
        unit=loss,
        replicates=bootstrap,
        seed=seed,
    )
    Console().print(describe_plan(made.to_json()))
    if json_file:
        write_numbers(json_file, made.to_json())
