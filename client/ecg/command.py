"""``wardlaw client shard ecg``."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from client.ecg.report import shown_progress, told
from client.ecg.request import MAX_SECONDS, RATE, ShardRequest, ShardSettings


def shard_ecg(
    source: Annotated[str, typer.Option(help="What it is: wfdb, ptb-xl, code-15, array or synthetic.")],
    input_folder: Annotated[Path, typer.Option("--input", help="The source's folder.")],
    out: Annotated[Path, typer.Option(help="New folder for the shard, or for a shard a site.")],
    site: Annotated[str, typer.Option(help="Name under which the site takes part.")] = "",
    rate: Annotated[
        float, typer.Option(min=1, help="Samples a second that records are resampled to.")
    ] = RATE,
    patients: Annotated[
        Path | None, typer.Option(help="CSV of record,patient: which records are of one patient (wfdb).")
    ] = None,
    site_column: Annotated[
        str, typer.Option(help="Column that divides the source into sites; for wfdb also: folder.")
    ] = "",
    seed: Annotated[int, typer.Option(help="Of the split into train, tuning and held_out.")] = 0,
    keep_splits: Annotated[
        Path | None, typer.Option(help="Earlier shard, or folder of some: its patients stay in their splits.")
    ] = None,
    max_seconds: Annotated[
        float, typer.Option(min=1, help="Longer records are cut to their first seconds.")
    ] = MAX_SECONDS,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read; 0 for one a processor.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Turn a source of 12-lead ECGs into a memory-mapped shard: resampled, checked, split by patient."""
    # wfdb and scipy take a second to import, which other commands need not wait for.
    from client.ecg.convert import shard_source

    request = ShardRequest(
        source=source,
        folder=input_folder,
        out=out,
        site=site,
        patients=patients,
        site_column=site_column,
        settings=ShardSettings(rate, max_seconds, seed, keep_splits),
        workers=workers or os.cpu_count() or 1,
    )
    with shown_progress(sys.stderr.isatty()) as progress:
        summary = shard_source(request, progress)
    typer.echo(
        json.dumps(summary.record(), indent=2) if as_json else told(summary.source, summary.sites, out)
    )
