"""A round at a site: the global model in, some local steps, the site's model out."""

import time
from typing import Any

from flwr.app import MetricRecord, RecordDict

from client.modalities import Shard, training_stream
from client.policy import require_allowed, require_patients, require_size, rounded
from client.site import Site, open_site_shard, tokenizer_of
from client.site_state import (
    forget_inner_states,
    load_inner_state,
    run_state_folder,
    save_inner_state,
    save_step_rows,
)
from client.training.replica import Replica, build_replica
from client.training.trainer import train_steps
from models.counts import parameters
from models.weights import load_weights, weight_record
from wardlaw import protocol


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
    order, config = content.config_records[protocol.CONFIG], site.config
    shard = _training_shard(content, site)
    replica = _replica(site, shard)
    folder = run_state_folder(site.policy, config)
    server_round = int(order[protocol.SERVER_ROUND])  # type: ignore[arg-type]
    steps = config.round_steps(server_round)
    keep = config.train.inner_state == "keep"
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
    return RecordDict(
        {
            protocol.ARRAYS: weight_record(replica.model),
            protocol.METRICS: _metrics(site, replica, rows, seconds),
        }
    )


def _training_shard(content: RecordDict, site: Site) -> Shard:
    require_allowed(site.policy, "training")
    # Verified when the site described itself, which begins every run and every resumption.
    shard = open_site_shard(site.policy, tokenizer_of(content, site.config), verify=False)
    require_patients(site.policy, shard.manifest.patients("train"))
    require_size(site.policy, parameters(site.config, shard.manifest.vocabulary_size).total)
    return shard


def _replica(site: Site, shard: Shard) -> Replica:
    stream = training_stream(site.config, {site.name: shard}, site.name)
    return build_replica(site.config, stream, shard.manifest.vocabulary_size)


def _metrics(site: Site, replica: Replica, rows: list[dict[str, Any]], seconds: float) -> MetricRecord:
    tokens = sum(row["tokens"] for row in rows)
    told = rounded(site.policy, tokens)
    return MetricRecord(
        {
            protocol.NUM_EXAMPLES: rounded(site.policy, replica.stream.unique_tokens),
            protocol.TRAIN_LOSS: sum(row["tokens"] * row["loss"] for row in rows) / tokens,
            protocol.TRAIN_TOKENS: told,
            # Exact FLOPs would tell the exact tokens.
            protocol.TRAIN_FLOPS: sum(row["flops"] for row in rows) * told / tokens,
            protocol.TRAIN_SECONDS: seconds,
        }
    )
