"""``wardlaw server``: certificates, sites' keys, and a run from its start to its exit status."""

import logging
import re
import shutil
from pathlib import Path
from typing import Annotated

import typer

from server.deployment.certificates import make_certificates
from server.deployment.node_keys import require_node_key
from server.deployment.start import Coordinator, serve_run
from wardlaw.config import load_config
from wardlaw.deployment.environment import private_folder
from wardlaw.deployment.processes import exit_on_sigterm
from wardlaw.errors import ConfigError

app = typer.Typer(no_args_is_help=True, help="Coordinate sites: certificates, keys, runs.")

State = Annotated[Path, typer.Option(help="Folder of the coordinator: database, keys, logs, records.")]


@app.command()
def certificates(
    out: Annotated[Path, typer.Option(help="Folder for ca.crt, ca.key, server.crt and server.key.")],
    host: Annotated[
        list[str] | None, typer.Option(help="Name or address under which sites reach the server; repeatable.")
    ] = None,
) -> None:
    """Make a certificate authority and the server's certificate.

    An authority that is there already is kept and signs a new server certificate.
    """
    make_certificates(out, host or [])
    typer.echo(f"{out / 'ca.crt'} goes to every site; the keys stay here")


@app.command()
def register(
    key: Annotated[Path, typer.Argument(help="A site's public node key.")],
    name: Annotated[str, typer.Option(help="The site's name.")],
    state: State,
) -> None:
    """Let a site take part; a server that is running takes notice at once."""
    require_node_key(key)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", name):
        raise ConfigError(f"'{name}' is no name of a site", where="--name", remedy="Use letters and digits")
    folder = state / "sites"
    private_folder(state)
    folder.mkdir(exist_ok=True)
    shutil.copyfile(key, folder / f"{name}.pub")
    typer.echo(f"site {name} may take part")


@app.command()
def start(
    config: Annotated[Path, typer.Option(help="The run's settings, TOML.")],
    state: State,
    port: Annotated[int, typer.Option(help="Port that sites connect to.")] = 8000,
    host: Annotated[
        str, typer.Option(help="Address to listen on; see deploy/README.md first.")
    ] = "127.0.0.1",
    certificates: Annotated[
        Path | None, typer.Option(help="Folder of certificates Default: certificates in the state folder.")
    ] = None,
    health_port: Annotated[int | None, typer.Option(help="Loopback port of grpc.health.v1.")] = None,
    override: Annotated[list[str] | None, typer.Option("--set", help="A setting, key=value.")] = None,
) -> None:
    """Run a federation over SuperNodes and exit with its outcome.

    A run that was interrupted goes on from its last checkpoint when it is started again.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    state = state.resolve()
    coordinator = Coordinator(state, certificates or state / "certificates", host, port, health_port)
    with exit_on_sigterm():
        folder = serve_run(load_config(config, override or []), coordinator)
    typer.echo(f"finished: {folder}")
