"""Where the runs of a study are computed: processes of this machine, or a Ray cluster.

Each run has its own process, so that a run that is killed or runs out of memory
takes no other with it, and its memory is given back when it ends.
"""

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from wardlaw.config import RunConfig

Job = Callable[[RunConfig, Path], Path]


@dataclass(frozen=True)
class Outcome:
    """End of one run: its record folder, or why there is none."""

    config: RunConfig
    folder: Path | None
    failure: str = ""


def run_jobs(job: Job, runs: Iterable[RunConfig], records: Path, workers: int) -> Iterator[Outcome]:
    """Compute runs side by side and yield each as it ends.

    A Ray cluster is used where ``RAY_ADDRESS`` names one, else ``workers`` processes.
    """
    if os.environ.get("RAY_ADDRESS"):
        yield from _run_on_ray(job, runs, records)
    else:
        yield from _run_in_processes(job, list(runs), records, workers)


def _run_in_processes(job: Job, runs: list[RunConfig], records: Path, workers: int) -> Iterator[Outcome]:
    context = multiprocessing.get_context("spawn")
    waiting, pools = list(reversed(runs)), [_pool(context) for _ in range(workers)]
    running: dict[Future[Path], tuple[ProcessPoolExecutor, RunConfig]] = {}
    try:
        while waiting or running:
            while waiting and pools:
                pool, config = pools.pop(), waiting.pop()
                running[pool.submit(job, config, records)] = (pool, config)
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                pool, config = running.pop(done)
                outcome, broken = _outcome(config, done)
                if broken:
                    pool.shutdown(wait=False)
                pools.append(_pool(context) if broken else pool)
                yield outcome
    finally:
        for pool in [*pools, *(pool for pool, _ in running.values())]:
            pool.shutdown(wait=False, cancel_futures=True)


def _pool(context: multiprocessing.context.SpawnContext) -> ProcessPoolExecutor:
    # A pool of one: a killed process breaks its own pool and leaves the others alone.
    return ProcessPoolExecutor(1, mp_context=context)


def _outcome(config: RunConfig, done: "Future[Path]") -> tuple[Outcome, bool]:
    error = done.exception()
    if error is None:
        return Outcome(config, done.result()), False
    broken = isinstance(error, BrokenProcessPool)
    failure = "the run's process was killed" if broken else f"{error or type(error).__name__}"
    return Outcome(config, None, failure), broken


def _run_on_ray(job: Job, runs: Iterable[RunConfig], records: Path) -> Iterator[Outcome]:
    import ray

    ray.init(address="auto", log_to_driver=False)
    remote = ray.remote(max_retries=0)(job)
    pending = {
        remote.options(num_cpus=config.train.threads).remote(config, records): config for config in runs
    }
    while pending:
        (done, *_), _ = ray.wait(list(pending))
        config = pending.pop(done)
        try:
            yield Outcome(config, ray.get(done))
        except ray.exceptions.RayError as error:
            yield Outcome(config, None, str(error).splitlines()[-1])
