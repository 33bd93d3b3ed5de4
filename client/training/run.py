"""A replica that trains alone: on one shard, or on the union of all."""

from collections.abc import Sequence
from pathlib import Path

from client.shard import TokenSplit
from client.training.batches import BatchStream
from client.training.replica import Replica, build_replica
from client.training.state import resume, retain_states, save_state, saved_steps
from client.training.trainer import train_steps
from wardlaw.config import RunConfig
from wardlaw.records import read_rows, write_table
from wardlaw.vocabulary import Scheme

KEPT_STATES = 2


def train_alone(
    config: RunConfig,
    splits: Sequence[tuple[str, TokenSplit]],
    folder: Path,
    *,
    name: str,
    scheme: Scheme,
    vocabulary_size: int,
) -> Replica:
    """Train to the end of the token budget, or go on from the newest state in ``folder``.

    A run that was killed at any moment and started again ends in the same weights and rows, bit
    for bit on a CPU, as one that was not.

    Parameters
    ----------
    config : RunConfig
        The run's settings.
    splits : sequence of (str, TokenSplit)
        Site and train split of each shard.
    folder : Path
        Gets ``steps.parquet`` and ``checkpoints/``.
    name : str
        The replica's name.
    scheme : {"ethos", "fused"}
        Tokeniser's scheme of the shards.
    vocabulary_size : int
        Their number of tokens.

    Returns
    -------
    Replica
        Trained; its ``stream`` tells unique tokens, epochs and fill.

    Raises
    ------
    CheckpointError
        If the folder's states are damaged or another run's.
    TrainingError
        If training diverges.
    """
    budget, context = config.replica_batch_tokens, config.model.context
    stream = BatchStream(splits, budget, context, scheme, config.run.seed, name)
    replica = build_replica(config, stream, vocabulary_size)
    checkpoints = folder / "checkpoints"
    done = resume(checkpoints, replica)
    rows = [row for row in read_rows(folder, "steps") if row["step"] < done]
    while done < config.steps:
        stop = min(done + config.train.checkpoint_steps, config.steps)
        rows += train_steps(replica, range(done, stop))
        done = stop
        write_table(folder, "steps", rows)
        save_state(checkpoints, replica, done)
        retain_states(checkpoints, saved_steps(checkpoints)[-KEPT_STATES:])
    return replica
