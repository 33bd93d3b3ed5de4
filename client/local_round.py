"""A round at a site: the global model in, some local steps, the site's model out."""

import time
from pathlib import Path
from typing import Any

from flwr.app import MetricRecord, RecordDict

from client.modalities import Shard
from client.policy import require_allowed, require_patients, require_size, require_sum, rounded
from client.privacy.limits import require_private_run
from client.privacy.private_gradient import PrivateGradient
from client.privacy.private_round import PaidRound, pay_for_round, request_digest
from client.site import Site, open_site_shard, tokenizer_of
from client.site_state import (
    forget_inner_states,
    inner_state_digest,
    load_inner_state,
    locked_run,
    run_state_folder,
    save_inner_state,
    save_step_rows,
)
from client.training.replica import Replica
from client.training.trainer import train_steps
from client.training_replica import training_replica
from models.counts import flops_per_token, parameters
from models.weights import load_weights, weight_record
from wardlaw import protocol
from wardlaw.config import RunConfig
from wardlaw.errors import ConfigError


def train_round(content: RecordDict, site: Site) -> RecordDict:
    """Answer ``train``: the round's steps from the global model.

    Parameters
    ----------
    content : RecordDict
        Arrays of the global model, and a config record with the round's number, FedProx's mu,
        and the oldest round that the server could ask for again.
    site : Site

    Returns
    -------
    RecordDict
        Arrays of the site's model in float32, and metrics.

    Raises
    ------
    PolicyError
        If the site's policy does not allow it.
    """
    shard = _training_shard(content, site)
    folder = run_state_folder(site.policy, site.config)
    with locked_run(folder):
        return _train(content, site, shard, folder)


def _train(content: RecordDict, site: Site, shard: Shard, folder: Path) -> RecordDict:
    order, config = content.config_records[protocol.CONFIG], site.config
    server_round = _round_of(content, config)
    steps = config.round_steps(server_round)
    keep = config.train.inner_state == "keep"
    paid = _paid_round(content, site, shard) if config.privacy.private else None
    replica = training_replica(config, {site.name: shard}, site.name, paid.key if paid else None)
    if keep:
        load_inner_state(folder, replica, steps.start)
    anchor = load_weights(replica.model, content.array_records[protocol.ARRAYS])
    started = time.perf_counter()
    rows = train_steps(replica, steps, anchor, float(order.get(protocol.PROXIMAL_MU, 0.0)))  # type: ignore[arg-type]
    seconds = time.perf_counter() - started
    save_step_rows(folder, server_round, rows)
    if keep:
        save_inner_state(folder, replica, steps.stop)
        oldest = int(order.get(protocol.OLDEST_ROUND, 1))  # type: ignore[arg-type]
        forget_inner_states(folder, config.round_steps(oldest).start)
    if paid:
        paid.commit()
        # Weights of the average: a fact of the shard, told once a run.
        paid.ledger.release("num-examples and expected tokens", None, config.fingerprint)
    return RecordDict(
        {
            protocol.ARRAYS: weight_record(replica.model),
            protocol.METRICS: _metrics(site, shard, replica, rows, seconds),
        }
    )


def _training_shard(content: RecordDict, site: Site) -> Shard:
    require_allowed(site.policy, "training")
    require_private_run(site.policy, site.config)
    require_sum(site.policy, site.config)
    # Verified when the site described itself, which begins every run and every resumption.
    shard = open_site_shard(site.policy, tokenizer_of(content, site.config), verify=False)
    require_patients(site.policy, shard.manifest.patients("train"))
    require_size(site.policy, parameters(site.config, shard.manifest.vocabulary_size).total)
    return shard


def _round_of(content: RecordDict, config: RunConfig) -> int:
    server_round = int(content.config_records[protocol.CONFIG][protocol.SERVER_ROUND])  # type: ignore[arg-type]
    if not 1 <= server_round <= config.rounds:
        raise ConfigError(
            f"the run has {config.rounds} rounds and none of number {server_round}",
            where=protocol.SERVER_ROUND,
        )
    return server_round


def _paid_round(content: RecordDict, site: Site, shard: Shard) -> PaidRound:
    order, config = content.config_records[protocol.CONFIG], site.config
    server_round = _round_of(content, config)
    inner = ""
    if config.train.inner_state == "keep":
        first = config.round_steps(server_round).start
        inner = inner_state_digest(run_state_folder(site.policy, config), first)
    mu = float(order.get(protocol.PROXIMAL_MU, 0.0))  # type: ignore[arg-type]
    digest = request_digest(content.array_records[protocol.ARRAYS], mu, inner, shard, config)
    return pay_for_round(site.policy, config, server_round, digest, shard.manifest.patients("train"))


def _metrics(
    site: Site, shard: Shard, replica: Replica, rows: list[dict[str, Any]], seconds: float
) -> MetricRecord:
    tell = _private_work if site.config.privacy.private else _work
    return MetricRecord(
        {
            protocol.NUM_EXAMPLES: rounded(site.policy, replica.stream.unique_tokens),
            **tell(site, shard, replica, rows, seconds),
        }
    )


def _work(
    site: Site, shard: Shard, replica: Replica, rows: list[dict[str, Any]], seconds: float
) -> dict[str, int | float]:
    tokens = sum(row["tokens"] for row in rows)
    told = rounded(site.policy, tokens)
    return {
        protocol.TRAIN_LOSS: sum(row["tokens"] * row["loss"] for row in rows) / tokens,
        protocol.TRAIN_TOKENS: told,
        # Exact FLOPs would tell the exact tokens.
        protocol.TRAIN_FLOPS: sum(row["flops"] for row in rows) * told / tokens,
        protocol.TRAIN_SECONDS: seconds,
    }


def _private_work(
    site: Site, shard: Shard, replica: Replica, rows: list[dict[str, Any]], seconds: float
) -> dict[str, int | float]:
    """The same whoever was drawn: expected tokens, three forward passes in full windows; no loss, no time."""
    assert isinstance(replica.gradient, PrivateGradient)
    told = max(1, rounded(site.policy, round(replica.gradient.stream.expected_tokens * len(rows))))
    a_token = 3 * flops_per_token(site.config, shard.manifest.vocabulary_size)
    return {protocol.TRAIN_TOKENS: told, protocol.TRAIN_FLOPS: a_token * told}
