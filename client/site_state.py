"""What outlives a message at a site: AdamW's moments and the rows of its steps.

    <state>/runs/<fingerprint[:16]>/<site>/
        inner/step-00000040.{safetensors,json}    replica before step 40
        steps/00002/steps.parquet                 rows of round 2

In a deployment every message has a process of its own, so everything here lies on
disk, keyed by run and site, and the same files are read in every runtime. A round
reads the newest state from before its first step and deletes the later ones, which
belong to a history that the server gave up. So a round that is asked for again, after
a crash on either side, gives the same bits again. Each file is whole or absent
(``wardlaw.files``); a crash before a round's state is saved only costs that round.
"""

import fcntl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from client.training.replica import Replica
from client.training.state import load_state, retain_states, save_state, saved_steps, state_digest
from wardlaw.config import RunConfig, SitePolicy
from wardlaw.records import read_rows, write_table


def run_state_folder(policy: SitePolicy, config: RunConfig) -> Path:
    """Folder of what a site keeps of a run."""
    return policy.state / "runs" / config.fingerprint[:16] / policy.site


def load_inner_state(folder: Path, replica: Replica, first_step: int) -> None:
    """Give a replica the moments that the site had before a round; none if it has not trained yet.

    The replica's weights are the state's too, and the caller's to replace.

    Parameters
    ----------
    folder : Path
        ``run_state_folder``.
    replica : Replica
    first_step : int
        First step of the round.

    Raises
    ------
    CheckpointError
        If the state is damaged. Earlier moments would be another run's course, so none
        are taken instead.
    """
    states = folder / "inner"
    earlier = [step for step in saved_steps(states) if step <= first_step]
    retain_states(states, earlier)
    if earlier:
        load_state(states, replica, earlier[-1])


@contextmanager
def locked_run(folder: Path) -> Iterator[None]:
    """Let one round at a time read and write what a site keeps of a run; another process waits."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def inner_state_digest(folder: Path, first_step: int) -> str:
    """SHA-256 of the state that ``load_inner_state`` would load; empty if there is none."""
    states = folder / "inner"
    earlier = [step for step in saved_steps(states) if step <= first_step]
    return state_digest(states, earlier[-1]) if earlier else ""


def save_inner_state(folder: Path, replica: Replica, next_step: int) -> None:
    """Keep a replica's moments for a later round."""
    save_state(folder / "inner", replica, next_step)


def forget_inner_states(folder: Path, oldest_step: int) -> None:
    """Delete the states that no round from ``oldest_step`` on can start from."""
    states = folder / "inner"
    steps = saved_steps(states)
    startable = [step for step in steps if step <= oldest_step]
    retain_states(states, startable[-1:] + steps[len(startable) :])


def save_step_rows(folder: Path, server_round: int, rows: Iterable[Mapping[str, Any]]) -> None:
    """Keep a round's rows, in place of those of an earlier try."""
    numbered = [{**row, "round": server_round} for row in rows]
    write_table(folder / "steps" / f"{server_round:05d}", "steps", numbered)


def read_step_rows(policy: SitePolicy, config: RunConfig) -> list[dict[str, Any]]:
    """Rows of all steps that a site made in a run, in order."""
    folder = run_state_folder(policy, config) / "steps"
    return [row for part in sorted(folder.glob("*")) for row in read_rows(part, "steps")]
