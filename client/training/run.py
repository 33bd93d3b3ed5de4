"""A replica that trains alone: on one shard, or on the union of all."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from client.training.replica import Replica
from client.training.state import resume, retain_states, save_state, saved_steps
from client.training.step_rows import mean_loss
from client.training.trainer import train_steps
from wardlaw.records import read_rows, write_table

KEPT_STATES = 2


def train_alone(replica: Replica, folder: Path) -> Replica:
    """Train to the end of the token budget, or go on from the newest state in ``folder``.

    A run that was killed at any moment and started again ends in the same weights and rows, bit
    for bit on a CPU, as one that was not.

    Parameters
    ----------
    replica : Replica
        At step 0; changed in place.
    folder : Path
        Gets ``steps.parquet``, ``rounds.parquet`` (a row a checkpoint) and ``checkpoints/``.

    Returns
    -------
    Replica
        The same, trained.

    Raises
    ------
    CheckpointError
        If the folder's states are damaged or another run's.
    TrainingError
        If training diverges.
    """
    config = replica.config
    checkpoints = folder / "checkpoints"
    done = resume(checkpoints, replica)
    every = config.train.checkpoint_steps
    rows = [row for row in read_rows(folder, "steps") if row["step"] < done]
    stages = [row for row in read_rows(folder, "rounds") if (row["round"] - 1) * every < done]
    while done < config.steps:
        started = time.perf_counter()
        stage = range(done, min(done + every, config.steps))
        rows += train_steps(replica, stage)
        trained_s = time.perf_counter() - started
        done = stage.stop
        write_table(folder, "steps", rows)
        stages.append(_stage_row(stage, every, rows, trained_s, time.perf_counter() - started))
        write_table(folder, "rounds", stages)
        # Last, since a state promises that the rows before it are there.
        save_state(checkpoints, replica, done)
        retain_states(checkpoints, saved_steps(checkpoints)[-KEPT_STATES:])
    return replica


def _stage_row(
    stage: range, every: int, rows: Sequence[dict[str, Any]], training_s: float, wall_s: float
) -> dict[str, Any]:
    own = rows[-len(stage) :]
    return {
        "round": stage.start // every + 1,
        "train_loss": mean_loss(own),
        "bytes_down": 0,
        "bytes_up": 0,
        "training_s": training_s,
        "wall_s": wall_s,
    }
