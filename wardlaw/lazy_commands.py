"""Commands that load when they are called: one does not wait for the libraries of the others."""

import importlib
from collections.abc import Mapping

import click
import typer
import typer.main
from typer.core import TyperGroup


def loading(commands: Mapping[str, str]) -> type[TyperGroup]:
    """Group for ``typer.Typer(cls=...)``.

    Parameters
    ----------
    commands : mapping of str to str
        By name ``module:attribute``, a function or a ``typer.Typer``; listed in this order.
    """

    class Loading(TyperGroup):
        def list_commands(self, ctx: click.Context) -> list[str]:
            return list(commands)

        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
            return _load(commands[cmd_name], cmd_name) if cmd_name in commands else None

    return Loading


def _load(place: str, name: str) -> click.Command:
    module, attribute = place.split(":")
    found = getattr(importlib.import_module(module), attribute)
    if isinstance(found, typer.Typer):
        group = typer.main.get_group(found)
        group.name = name
        return group
    alone = typer.Typer(add_completion=False)
    alone.command(name)(found)
    return typer.main.get_command(alone)
