"""Runs a study: what is finished is kept, what is unfinished goes on, the rest starts."""

import fcntl
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from models.counts import flops_per_token
from simulations.study import Study
from simulations.topologies import run_topology
from simulations.workers import Outcome, run_jobs
from wardlaw.config import RunConfig
from wardlaw.errors import RecordError
from wardlaw.records import is_finished, record_folder

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StudyOutcome:
    """What became of a study's runs."""

    finished_before: int
    finished_now: int
    failed: tuple[Outcome, ...]


def run_study(
    study: Study, records: Path, *, workers: int, on_progress: Callable[[float, Outcome | None], None]
) -> StudyOutcome:
    """Compute the runs of a study that have no result yet.

    Parameters
    ----------
    study : Study
    records : Path
        Folder of record folders. A run is found again by its fingerprint, so that a
        study that was interrupted, or shares runs with another, computes none twice.
    workers : int
        Runs at the same time.
    on_progress : callable
        Called with the share of the study's training FLOPs done and the run that ended.
    """
    cost = {config.fingerprint: expected_flops(config) for config in study.runs}
    total = sum(cost.values())
    open_runs = [config for config in study.runs if not is_finished(record_folder(records, config))]
    done = total - sum(cost[config.fingerprint] for config in open_runs)
    on_progress(done / total, None)
    # Longest first: the last runs to end are then short ones, and no worker waits long.
    open_runs.sort(key=lambda config: cost[config.fingerprint], reverse=True)
    failed = []
    for outcome in run_jobs(run_once, open_runs, records, workers):
        done += cost[outcome.config.fingerprint]
        if outcome.folder is None:
            logger.error("%s failed: %s", outcome.config.run.name, outcome.failure)
            failed.append(outcome)
        on_progress(done / total, outcome)
    finished_before = len(study.runs) - len(open_runs)
    return StudyOutcome(finished_before, len(open_runs) - len(failed), tuple(failed))


def run_once(config: RunConfig, records: Path) -> Path:
    """Compute one run, unless its result is there by the time that its turn comes."""
    folder = record_folder(records, config)
    with _alone_in(folder):
        return folder if is_finished(folder) else run_topology(config, records)


def expected_flops(config: RunConfig) -> float:
    """Forward FLOPs of a run for its share of a study's progress, windows taken as full."""
    return flops_per_token(config, outputs=4096 if config.model.reads == "ehr" else 26) * config.train.tokens


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RecordError("another process computes this run", where=str(folder)) from None
        yield
