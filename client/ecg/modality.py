"""ECG as training and evaluation see it."""

from collections.abc import Sequence

from client.ecg.batches import SignalStream
from client.ecg.loss import evaluate_loss
from client.ecg.private_stream import PatientStream
from client.ecg.shard import SignalShard
from client.evaluation.loss_sums import LossSums
from models.ecg.model import EcgModel
from wardlaw.config import RunConfig


def training_stream(config: RunConfig, shards: Sequence[tuple[str, SignalShard]], name: str) -> SignalStream:
    """Batches of the train splits of some sites' shards, for the replica ``name``."""
    return SignalStream(shards, config.replica_batch_tokens, config.model.context, config.run.seed, name)


def private_stream(
    config: RunConfig, shards: Sequence[tuple[str, SignalShard]], name: str, key: bytes
) -> PatientStream:
    """Draws of the train patients of some sites' shards, for the replica ``name``."""
    privacy = config.privacy
    return PatientStream(shards, privacy.patients, privacy.windows, config.model.context, key, name)


def evaluate_shard(model: EcgModel, shard: SignalShard, split: str, config: RunConfig) -> LossSums:
    """Sums of a model's loss on one split of a shard."""
    return evaluate_loss(model, shard, split, config.model.context)
