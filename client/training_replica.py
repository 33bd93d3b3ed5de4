"""A run's replica on some sites' shards, private or not as the settings say."""

import hashlib
from collections.abc import Mapping

from client.modalities import Shard, private_stream, training_stream
from client.training.replica import Replica, build_replica
from wardlaw.config import RunConfig


def training_replica(
    config: RunConfig, shards: Mapping[str, Shard], name: str, key: bytes | None = None
) -> Replica:
    """Replica at step 0 on the train patients of some shards.

    Parameters
    ----------
    config : RunConfig
    shards : mapping of str to Shard
        By site.
    name : str
        The replica's.
    key : bytes of length 32, optional
        Secret of a private replica's draws and noise; without one it follows from the run's
        settings, which hides nothing from whoever knows them: for simulation, where nothing leaves.
    """
    outputs = next(iter(shards.values())).manifest.vocabulary_size
    if not config.privacy.private:
        return build_replica(config, training_stream(config, shards, name), outputs)
    # The ledger's and Opacus's libraries are slow to import, and most runs need neither.
    from client.privacy.private_replica import build_private_replica

    secret = key or hashlib.sha256(f"simulated {config.fingerprint} {name}".encode()).digest()
    return build_private_replica(config, private_stream(config, shards, name, secret), secret, outputs)
