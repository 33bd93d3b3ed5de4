"""Commands over federations and studies."""

import json
import os
from pathlib import Path
from typing import Annotated

import polars as pl
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from client.evaluation.tasks import TASKS
from simulations.downstream import Generation, evaluate_downstream
from simulations.federation_folder import federation_digest, load_federation
from simulations.prepare import prepare_federation
from simulations.runner import StudyOutcome, run_once, run_study
from simulations.stand_in import stand_in_study
from simulations.study import Study, load_study
from simulations.transfer import evaluate_transfer
from simulations.workers import Outcome
from wardlaw.config import RunConfig, load_config, to_flat
from wardlaw.errors import ConfigError, RecordError
from wardlaw.records import find_records, load_record
from wardlaw.vocabulary import Scheme, Vocabulary

SitesOption = Annotated[
    str, typer.Option("--sites", help="Sites that take part, by comma; all if absent. The rest stay unseen.")
]
FederationOption = Annotated[
    Path, typer.Option("--federation", help="Folder made by `simulate prepare` or `prepare-ecg`.")
]


def settings() -> None:
    """List every setting of a run with its default."""
    for key, value in to_flat(RunConfig()).items():
        typer.echo(f"{key} = {json.dumps(value)}")


def prepare(
    meds: Annotated[Path, typer.Option(help="Folder of MEDS roots, one a site.")],
    out: Annotated[Path, typer.Option(help="Federation folder to make.")],
    scheme: Annotated[str, typer.Option(help="Tokeniser: ethos or fused.")] = "ethos",
    vocabulary: Annotated[
        Path | None, typer.Option(help="Frozen vocabulary instead of a fitted one.")
    ] = None,
    minimum_stays: Annotated[int, typer.Option(help="Leave out sites with fewer ICU stays.")] = 0,
) -> None:
    """Fit a common vocabulary across sites and tokenise each site's patients."""
    frozen = Vocabulary.load(vocabulary) if vocabulary else None
    chosen = frozen.scheme if frozen else _scheme(scheme)
    manifest = prepare_federation(meds, out, chosen, frozen, minimum_stays)
    typer.echo(f"{len(manifest.sites)} sites, tokeniser {manifest.tokenizer[:16]}: {out}")


def run(
    config: Annotated[Path, typer.Argument(help="Settings of the run (TOML).")],
    federation: FederationOption,
    out: Annotated[Path, typer.Option(help="Folder of run records.")] = Path("runs"),
    sites: SitesOption = "",
    changes: Annotated[list[str] | None, typer.Option("--set", help="key=value, several times.")] = None,
) -> None:
    """Compute one run, or go on where it stopped."""
    load_config(config, changes or [])
    pinned = [f"{key}={json.dumps(value)}" for key, value in _pinned(federation, out, sites).items()]
    folder = run_once(load_config(config, [*(changes or []), *pinned]), out)
    typer.echo(str(folder))


def study(
    file: Annotated[Path, typer.Argument(help="The study (TOML).")],
    federation: FederationOption,
    out: Annotated[Path, typer.Option(help="Folder of run records.")],
    sites: SitesOption = "",
    workers: Annotated[int, typer.Option(help="Runs at the same time.")] = os.cpu_count() or 1,
    tan: Annotated[
        int,
        typer.Option(
            help="Replace each private run by a stand-in with 1/K of its patients a step and noise."
        ),
    ] = 1,
) -> None:
    """Compute the runs of a study that are not finished; interrupt and repeat at will."""
    grid = load_study(file, _pinned(federation, out, sites))
    grid = stand_in_study(grid, tan) if tan != 1 else grid
    outcome = _show_progress(grid, out, workers)
    typer.echo(
        f"{outcome.finished_now} runs computed, {outcome.finished_before} were there, "
        f"{len(outcome.failed)} failed: {out}"
    )
    if outcome.failed:
        first = outcome.failed[0]
        raise RecordError(
            f"{len(outcome.failed)} runs failed; the first, {first.config.run.name}: {first.failure}",
            where=str(out),
            remedy="The same command tries them again",
        )


def downstream(
    runs: Annotated[Path, typer.Argument(help="Folder of run records.")],
    task: Annotated[list[str] | None, typer.Option(help="Task, several times; all if absent.")] = None,
    only: Annotated[str, typer.Option(help="Only runs whose name has this text.")] = "",
    trajectories: Annotated[int, typer.Option(min=1, help="Generated futures a question.")] = 20,
    most_tokens: Annotated[int, typer.Option(min=1, help="Longest future, in tokens.")] = 512,
) -> None:
    """Answer clinical tasks with the models of finished runs, zero-shot and by a linear probe."""
    tasks = tuple(task or TASKS)
    if unknown := set(tasks) - TASKS.keys():
        raise ConfigError(f"no task {', '.join(sorted(unknown))}", remedy=f"Choose from {', '.join(TASKS)}")
    for folder in find_records(runs):
        if only in folder.name:
            scores = evaluate_downstream(load_record(folder), tasks, Generation(trajectories, most_tokens))
            for row in scores.iter_rows(named=True):
                typer.echo(
                    f"{folder.name} {row['replica']} {row['task']}: AUROC {row['auroc']:.3f} "
                    f"[{row['auroc_low']:.3f}, {row['auroc_high']:.3f}], AUPRC {row['auprc']:.3f} "
                    f"[{row['auprc_low']:.3f}, {row['auprc_high']:.3f}], prevalence {row['prevalence']:.3f}, "
                    f"{row['positives']} of {row['n']}"
                )


def transfer(
    runs: Annotated[Path, typer.Argument(help="Folder of run records.")],
    outside: Annotated[Path, typer.Option(help="Federation folder of sites that no run has seen.")],
    only: Annotated[str, typer.Option(help="Only runs whose name has this text.")] = "",
) -> None:
    """Score the models of finished runs on sites outside their federation."""
    for folder in find_records(runs):
        if only in folder.name:
            record = load_record(folder)
            scored = evaluate_transfer(record, outside)
            unit = "token" if record.config.model.reads == "ehr" else "target"
            sums = pl.col("nats", "tokens", "patients").sum()
            for row in (
                scored.group_by("replica", "site", maintain_order=True).agg(sums).iter_rows(named=True)
            ):
                typer.echo(
                    f"{folder.name} {row['replica']} on {row['site']}: "
                    f"{row['nats'] / row['tokens']:.4f} nats a {unit}, {row['patients']} patients"
                )


def _pinned(federation: Path, out: Path, sites: str) -> dict[str, str]:
    manifest = load_federation(federation)
    chosen = {name.strip() for name in sites.split(",") if name.strip()}
    if unknown := chosen - manifest.sites.keys():
        raise ConfigError(
            f"no site called {', '.join(sorted(unknown))}",
            where=str(federation),
            remedy=f"Choose from {', '.join(sorted(manifest.sites))}",
        )
    return {
        "data.federation": str(federation.resolve()),
        "data.digest": federation_digest(federation),
        "data.tokenizer": manifest.tokenizer,
        "data.sites": ",".join(sorted(chosen or manifest.sites)),
        "run.records": str(out.resolve()),
    }


def _show_progress(grid: Study, out: Path, workers: int) -> StudyOutcome:
    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    ]
    console = Console(stderr=True)
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(f"{grid.name}: {len(grid.runs)} runs", total=1.0)

        def on_progress(done: float, ended: Outcome | None) -> None:
            progress.update(task, completed=done)
            if ended and not console.is_terminal:
                console.print(
                    f"{done:4.0%} {ended.config.run.name} {ended.failure or 'done'}", highlight=False
                )

        return run_study(grid, out, workers=workers, on_progress=on_progress)


def _scheme(name: str) -> Scheme:
    if name == "ethos":
        return "ethos"
    if name == "fused":
        return "fused"
    raise typer.BadParameter(f"'{name}' is neither ethos nor fused", param_hint="--scheme")
