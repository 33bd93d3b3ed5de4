"""``wardlaw``: mounts the commands of each room, loading a room only when it is called."""

import importlib
import sys

import click
import typer.main

from wardlaw import __version__
from wardlaw.errors import WardlawError

ROOMS = {
    "models": ("models.cli", "List the ladders with exact parameters and FLOPs."),
    "client": ("client.cli", "Inside a hospital: shards, tokens, a site's part in a federation."),
    "server": ("server.cli", "Coordinate sites: start, resume and watch a federation."),
    "simulate": ("simulations.cli", "Federations, baselines and studies on one machine."),
    "analysis": ("analysis.cli", "Fit, compare and report run records."),
}


class Rooms(click.Group):
    """A group whose commands live in other packages."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the rooms, in the order of the work."""
        return list(ROOMS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a room's commands on their first use."""
        if cmd_name not in ROOMS:
            return None
        return typer.main.get_command(importlib.import_module(ROOMS[cmd_name][0]).app)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the rooms without loading them."""
        with formatter.section("Rooms"):
            formatter.write_dl([(name, summary) for name, (_, summary) in ROOMS.items()])


@click.group(cls=Rooms, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def wardlaw() -> None:
    """Federated scaling laws for hospital foundation models."""


def main() -> None:
    """Run a command; an error of ours is one line and its own exit status."""
    try:
        wardlaw()
    except WardlawError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_status)
