"""EHR as training and evaluation see it."""

from collections.abc import Sequence

from client.ehr.batches import BatchStream
from client.ehr.loss import evaluate_loss
from client.ehr.private_stream import PatientStream
from client.ehr.shard import TokenShard
from client.evaluation.loss_sums import LossSums
from models.ehr.decoder import Decoder
from wardlaw.config import RunConfig


def training_stream(config: RunConfig, shards: Sequence[tuple[str, TokenShard]], name: str) -> BatchStream:
    """Batches of the train splits of some sites' shards, for the replica ``name``."""
    return BatchStream(
        [(site, shard.split("train")) for site, shard in shards],
        config.replica_batch_tokens,
        config.model.context,
        shards[0][1].manifest.scheme,
        config.run.seed,
        name,
    )


def private_stream(
    config: RunConfig, shards: Sequence[tuple[str, TokenShard]], name: str, key: bytes
) -> PatientStream:
    """Draws of the train patients of some sites' shards, for the replica ``name``."""
    return PatientStream(
        [(site, shard.split("train")) for site, shard in shards],
        config.privacy.patients,
        config.privacy.windows,
        config.model.context,
        shards[0][1].manifest.scheme,
        key,
        name,
    )


def evaluate_shard(model: Decoder, shard: TokenShard, split: str, config: RunConfig) -> LossSums:
    """Sums of a decoder's loss on one split of a shard."""
    return evaluate_loss(
        model,
        shard.split(split),
        shard.manifest.scheme,
        config.model.context,
        config.replica_batch_tokens,
    )
