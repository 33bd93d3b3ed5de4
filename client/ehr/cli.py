"""``wardlaw client shard ehr`` and ``wardlaw client tokenize``."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from client.ehr.command import shard_source
from client.ehr.counts import QUARANTINE_CAP
from client.ehr.report import shown_progress, told
from client.ehr.request import ShardRequest, SourceName
from client.ehr.shard import shard_folder
from client.ehr.tokenise import tokenise_root
from wardlaw.vocabulary import Vocabulary


def shard_ehr(
    source: Annotated[SourceName, typer.Option(help="What the input folder holds.")],
    input_folder: Annotated[Path, typer.Option("--input", help="Source tables, or a MEDS root.")],
    out: Annotated[Path, typer.Option(help="New folder for the MEDS root, or for a root a site.")],
    site_column: Annotated[
        str, typer.Option(help="Column that divides patients into sites, e.g. hospitalid.")
    ] = "",
    site: Annotated[list[str], typer.Option(help="Write only this site of --site-column; repeatable.")] = [],  # noqa: B006
    seed: Annotated[int, typer.Option(help="Of the split into train, tuning and held_out.")] = 0,
    drug_atc: Annotated[Path | None, typer.Option(help="CSV of drug,atc_code: drugs get ATC codes.")] = None,
    quarantine_cap: Annotated[
        float, typer.Option(min=0, max=1, help="Share of a table's rows that may be faulty in one way.")
    ] = QUARANTINE_CAP,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Turn a source's tables into MEDS roots: events, codes, patient-disjoint splits."""
    request = ShardRequest(
        source, input_folder, out, site_column, tuple(site), seed, drug_atc, quarantine_cap
    )
    with shown_progress(sys.stderr.isatty()) as progress:
        summary = shard_source(request, progress)
    typer.echo(json.dumps(summary.record(), indent=2) if as_json else told(summary, out))


def tokenize(
    meds: Annotated[Path, typer.Option(help="MEDS root of the site's patients.")],
    vocabulary: Annotated[Path, typer.Option(help="vocabulary.json: fitted, or a frozen public list.")],
    out: Annotated[Path, typer.Option(help="The site's folder for shards, one a tokeniser.")],
    site: Annotated[str, typer.Option(help="Name under which the site takes part.")],
) -> None:
    """Write a MEDS root's patients as tokens."""
    known = Vocabulary.load(vocabulary)
    manifest = tokenise_root(meds, known, out, site=site)
    for name, counts in manifest.splits.items():
        typer.echo(
            f"{name:8}  {counts.patients:>9,} patients  {counts.events:>12,} events"
            f"  {counts.tokens:>13,} tokens  {counts.unknown_codes:,} events of unknown codes"
        )
    typer.echo(f"{shard_folder(out, known.fingerprint)}")
