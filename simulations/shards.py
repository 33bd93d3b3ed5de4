"""The sizes of a federation's shards, as a table that the planner reads: tokens of EHR, samples of ECG."""

import io
from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from client.site import open_site_shard
from simulations.federation_folder import load_federation, site_folder
from wardlaw.config import load_site_policy
from wardlaw.files import write_text_atomically


def shard_sizes(federation: Path) -> pl.DataFrame:
    """``site``, ``patients`` and ``tokens`` of every site's train split.

    Parameters
    ----------
    federation : Path
        Folder made by ``wardlaw simulate prepare``.
    """
    manifest = load_federation(federation)
    rows = []
    for site in sorted(manifest.sites):
        policy = load_site_policy(site_folder(federation, site) / "site.toml")
        shard = open_site_shard(policy, manifest.tokenizer).manifest
        rows.append({"site": site, "patients": shard.patients("train"), "tokens": shard.tokens("train")})
    return pl.DataFrame(rows)


def shards(
    federation: Annotated[Path, typer.Argument(help="Folder made by `simulate prepare` or `prepare-ecg`.")],
    out: Annotated[Path | None, typer.Option(help="CSV file to write; printed if absent.")] = None,
) -> None:
    """List the patients and tokens (of ECG, samples) of each site's shard, for `analysis plan --sites`."""
    buffer = io.StringIO()
    shard_sizes(federation).write_csv(buffer)
    if out is None:
        typer.echo(buffer.getvalue(), nl=False)
    else:
        write_text_atomically(out, buffer.getvalue())
