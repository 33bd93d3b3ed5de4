"""``wardlaw analysis plan``."""

from pathlib import Path
from typing import Annotated

import polars as pl
import typer
from rich.console import Console

from analysis.options import (
    Columns,
    JsonFile,
    Replicates,
    Runs,
    Seed,
    Unit,
    Where,
    chosen_runs,
    write_numbers,
)
from analysis.planner.consortium import Consortium, Privacy, read_shards
from analysis.planner.evidence import gather_evidence
from analysis.planner.plan import make_plan
from analysis.planner.recorded import habits_of, roles_of, with_own_models
from analysis.planner.rendering import describe_plan
from wardlaw.errors import RecordError


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
    batch_tokens: Annotated[int | None, typer.Option(help="Tokens a step; as in the runs if absent.")] = None,
    local_steps: Annotated[int | None, typer.Option(help="Local steps; as in the runs if absent.")] = None,
    group: Annotated[str, typer.Option(help="Column of the arms.")] = "arm",
    columns: Columns = "",
    where: Where = None,
    bootstrap: Replicates = 2000,
    seed: Seed = 42,
    loss: Unit = "token",
    json_file: JsonFile = None,
) -> None:
    """Say what a consortium should train, what it would get, and how far that can be trusted."""
    table = chosen_runs(runs, columns, where, 0, loss)
    if group not in table.rows.columns:
        raise RecordError(f"there is no column '{group}'", where="--group")
    shards = read_shards(sites)
    if delta is None:
        delta = 0.1 / max(shard.patients for shard in shards)
    privacy = None if epsilon is None else Privacy(epsilon, delta)
    consortium = Consortium(shards, compute, privacy, bandwidth, speed)
    known = with_own_models(table, group, loss)
    roles = roles_of(known.rows[group].unique(maintain_order=True).to_list(), federated, centralised, local)
    habits = habits_of(known.rows.filter(pl.col(group) == roles.federated), batch_tokens, local_steps)
    evidence = gather_evidence(known, group, replicates=bootstrap, seed=seed)
    made = make_plan(evidence, roles, consortium, habits, seed=seed)
    Console().print(describe_plan(made))
    if json_file:
        write_numbers(json_file, made.to_json())
