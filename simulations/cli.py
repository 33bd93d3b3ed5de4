"""``wardlaw simulate``: federations, baselines and studies on one machine."""

import typer

from simulations import commands, partition_command, shards
from simulations.synthetic import commands as synthetic

app = typer.Typer(no_args_is_help=True, help="Federations, baselines and studies on one machine.")
app.command("hospitals")(synthetic.hospitals)
app.command("oracle")(synthetic.oracle)
app.command("partition")(partition_command.partition)
app.command("prepare")(commands.prepare)
app.command("shards")(shards.shards)
app.command("settings")(commands.settings)
app.command("run")(commands.run)
app.command("study")(commands.study)
app.command("downstream")(commands.downstream)
app.command("transfer")(commands.transfer)


@app.callback()
def simulate() -> None:
    """Federations, baselines and studies on one machine."""
