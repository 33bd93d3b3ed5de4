"""``wardlaw client``: inside a hospital."""

import typer

from wardlaw.lazy_commands import loading

app = typer.Typer(
    no_args_is_help=True,
    cls=loading(
        {
            "key": "client.deployment.commands:key",
            "start": "client.deployment.commands:start",
            "score-ecg": "client.ecg.scoring.command:score_ecg",
            "plan-privacy": "client.privacy.plan_command:plan_privacy",
            "tokenize": "client.ehr.cli:tokenize",
            "shard": "client.cli:shard",
            "budget": "client.privacy.budget_command:budget",
            "secagg": "client.deployment.secagg_identity:secagg",
        }
    ),
)
shard = typer.Typer(
    no_args_is_help=True,
    cls=loading({"ehr": "client.ehr.cli:shard_ehr", "ecg": "client.ecg.command:shard_ecg"}),
)


@app.callback()
def client() -> None:
    """Inside a hospital: shards, tokens, a site's part in a federation."""


@shard.callback()
def _shard() -> None:
    """Turn a source into what the rest works on."""
