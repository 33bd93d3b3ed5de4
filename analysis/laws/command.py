"""``wardlaw analysis laws``."""

from rich.console import Console
from rich.table import Table

from analysis.laws.registry import LAWS


def laws() -> None:
    """List the laws: their names, equations, inputs and sources."""
    table = Table()
    for column in ("law", "equation", "inputs", "source"):
        table.add_column(column)
    for name, law in LAWS.items():
        table.add_row(name, law.formula, ", ".join(law.inputs), law.source)
    Console().print(table)
