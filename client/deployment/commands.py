"""``wardlaw client key`` and ``wardlaw client start``."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from client.deployment.node_key import make_node_key
from client.deployment.start import Node, serve_node
from wardlaw.deployment.environment import free_port
from wardlaw.deployment.processes import exit_on_sigterm


def key(
    out: Annotated[Path, typer.Option(help="File of the private key; the public half is FILE.pub.")],
) -> None:
    """Make the site's node key."""
    typer.echo(f"{make_node_key(out)} goes to the coordinator; {out} stays here")


def start(
    site: Annotated[Path, typer.Option(help="The site's site.toml.")],
    superlink: Annotated[str, typer.Option(help="The coordinator's host:port.")],
    ca: Annotated[Path, typer.Option(help="The coordinator's ca.crt.")],
    key: Annotated[Path, typer.Option(help="The site's private node key.")],
    port: Annotated[
        int | None, typer.Option(help="Loopback port of the node itself. Default: any free one.")
    ] = None,
    health_port: Annotated[int | None, typer.Option(help="Loopback port of grpc.health.v1.")] = None,
) -> None:
    """Take part in the coordinator's runs until stopped."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with exit_on_sigterm():
        serve_node(Node(site, superlink, ca, key, port or free_port(), health_port))
