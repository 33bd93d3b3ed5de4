"""``wardlaw simulate``: federations, baselines and studies on one machine."""

import typer

from simulations import commands, partition_command, shards
from simulations.audit.command import audit, audit_mechanism
from simulations.ecg import commands as ecg
from simulations.ecg.scores_command import ecg_scores
from simulations.synthetic import commands as synthetic

app = typer.Typer(no_args_is_help=True, help="Federations, baselines and studies on one machine.")
app.command("audit")(audit)
app.command("audit-mechanism")(audit_mechanism)
app.command("hospitals")(synthetic.hospitals)
app.command("oracle")(synthetic.oracle)
app.command("partition")(partition_command.partition)
app.command("ecg-hospitals")(ecg.ecg_hospitals)
app.command("ecg-oracle")(ecg.ecg_oracle)
app.command("ecg-partition")(ecg.ecg_partition)
app.command("ecg-scores")(ecg_scores)
app.command("prepare-ecg")(ecg.prepare_ecg)
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
