"""Totals of a run whose replicas trained without a server."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from client.modalities import Shard
from client.training.replica import Replica
from models.counts import parameters
from wardlaw.config import RunConfig
from wardlaw.records import RunResult, read_rows


def run_totals(
    config: RunConfig,
    replicas: Sequence[Replica],
    shards: Mapping[str, Shard],
    evaluation: Iterable[Mapping[str, Any]],
    folder: Path,
) -> RunResult:
    """Totals of a centralised or local run.

    Parameters
    ----------
    config : RunConfig
    replicas : sequence of Replica
    shards : mapping of str to Shard
    evaluation : iterable of rows
        Columns of ``EVALUATION_SCHEMA``.
    folder : Path
        The run's record.
    """
    manifest = next(iter(shards.values())).manifest
    counted = parameters(config, manifest.vocabulary_size)
    steps = read_rows(folder, "steps")
    rows = list(evaluation)
    return RunResult(
        loss_per_token=mean_over_replicas(rows, "tokens"),
        loss_per_event=mean_over_replicas(rows, "events"),
        parameters=counted.total,
        non_embedding_parameters=counted.blocks,
        flops=math.fsum(row["flops"] for row in steps),
        tokens=sum(row["tokens"] for row in steps),
        unique_tokens=sum(replica.stream.unique_tokens for replica in replicas),
        wall_s=math.fsum(row["wall_s"] for row in read_rows(folder, "rounds")),
        bytes_down=0,
        bytes_up=0,
        sites=len(shards),
        synthetic=any(shard.manifest.synthetic for shard in shards.values()),
    )


def mean_over_replicas(rows: Sequence[Mapping[str, Any]], per: str) -> float:
    """Mean over replicas of their nats per ``tokens`` or ``events``, pooled over sites.

    Examples
    --------
    >>> one = {"replica": "a", "nats": 3.0, "tokens": 2}
    >>> mean_over_replicas([one, {"replica": "a", "nats": 1.0, "tokens": 2}], "tokens")
    1.0
    """
    losses = []
    for replica in sorted({row["replica"] for row in rows}):
        own = [row for row in rows if row["replica"] == replica]
        losses.append(math.fsum(row["nats"] for row in own) / sum(row[per] for row in own))
    return math.fsum(losses) / len(losses)
