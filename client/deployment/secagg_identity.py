"""``wardlaw client secagg``: a site's identity in secure aggregation."""

from pathlib import Path
from typing import Annotated

import typer

from client.secagg.identity import identity
from wardlaw.config import load_site_policy

secagg = typer.Typer(no_args_is_help=True, help="Sums in which no server sees the site's own update.")


@secagg.callback()
def _group() -> None:
    """Sums in which no server sees the site's own update."""


@secagg.command("identity")
def show_identity(site: Annotated[Path, typer.Option("--site", help="The site's site.toml.")]) -> None:
    """Print the site's line for the [secagg-peers] of the other sites, making its key at the first call."""
    policy = load_site_policy(site)
    typer.echo(f'"{policy.site}" = "{identity(policy)}"')
