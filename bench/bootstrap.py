"""A bootstrap of 4000 Chinchilla fits, ours against a loop over scipy: ``python -m bench.bootstrap``.

Both minimise the same Huber loss with the same analytic gradient, from the same warm start and the same
guards in every replicate. scipy runs on a random part of the replicates, interleaved with ours, and its
time is scaled up. Then the minima are compared with each other, and some with the whole start grid.
"""

import argparse
import os
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import minimize

from analysis.laws.chinchilla import Chinchilla
from analysis.solvers.damped_newton import minimise_huber
from analysis.tables.filters import drop_worst_loss
from analysis.tables.run_table import read_runs

Array = NDArray[np.float64]
DELTA = 1e-3
SAME_OPTIMUM = 1e-6
SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"
# The loosest tolerances at which all starts reach the optimum to 1e-6; the objective is of order one.
SCIPY: dict[str, dict[str, Any]] = {
    "L-BFGS-B": {"ftol": 1e-10, "gtol": 1e-8, "maxiter": 5000, "maxfun": 20_000},
    "BFGS": {"gtol": 1e-6, "maxiter": 5000},
}


def synthetic_runs() -> tuple[Array, Array]:
    """240 runs of a Chinchilla surface, with noise of 0.4 % and the tails of Student's t."""
    random = np.random.default_rng(0)
    inputs = np.exp(random.uniform(np.log([5e7, 1e9]), np.log([1.6e10, 3e11]), (240, 2)))
    surface = 1.82 + 482 * inputs[:, 0] ** -0.348 + 2085 * inputs[:, 1] ** -0.366
    return inputs, surface * np.exp(0.004 * random.standard_t(3, 240))


def epoch_runs(path: Path) -> tuple[Array, Array]:
    """The 240 digitised runs of arXiv 2404.10102."""
    table = read_runs(path, {"N": "Model Size", "C": "Training FLOP", "L": "loss"})
    rows = drop_worst_loss(table, 5).rows.select(pl.col("N", "D", "L").cast(pl.Float64)).to_numpy()
    return rows[:, :2], rows[:, 2]


def scipy_objective(features: Array, log_loss: Array, weight: Array) -> Callable[[Array], Any]:
    """Huber's loss of one replicate with its gradient, scaled to order one."""
    size, tokens = features[:, 1, 0], features[:, 2, 1]

    def objective(theta: Array) -> tuple[float, Array]:
        logs = np.stack([theta[0] + 0.0 * size, theta[1] + theta[3] * size, theta[2] + theta[4] * tokens])
        top = logs.max(axis=0)
        terms = np.exp(logs - top)
        total = terms.sum(axis=0)
        residual = top + np.log(total) - log_loss
        inside = np.clip(residual, -DELTA, DELTA)
        slope = 1e3 * weight * inside
        pull = terms * (slope / total)
        gradient = np.array([*pull.sum(axis=1), pull[1] @ size, pull[2] @ tokens])
        return float(slope @ (residual - 0.5 * inside)), gradient

    return objective


@dataclass(frozen=True)
class Seconds:
    """Time of one pass by the clock and of the processor."""

    wall: float
    cpu: float


def timed(work: Callable[[], Any]) -> tuple[Any, Seconds]:
    wall, cpu = perf_counter(), process_time()
    result = work()
    return result, Seconds(perf_counter() - wall, process_time() - cpu)


def bench(name: str, inputs: Array, loss: Array, options: argparse.Namespace) -> None:
    law, fitting = timed(lambda: Chinchilla().fit(inputs, loss))
    print(f"{name}: {law.n_} runs, one fit from {law.convergence_.starts} starts {fitting.cpu:.3f} s")
    random = np.random.RandomState(42)
    draws = [random.choice(law.n_, law.n_) for _ in range(options.replicates)]
    weight = np.array([np.bincount(draw, minlength=law.n_) for draw in draws], dtype=np.float64)
    features, log_loss = law.features(inputs) - law.centre_, np.log(loss)
    starts = [law.theta_, *law.guard_starts(options.guards)]
    part = np.random.default_rng(1).choice(options.replicates, options.part, replace=False)

    def loop(method: str) -> list[float]:
        found = []
        for weights in weight[part]:
            objective = scipy_objective(features, log_loss, weights)
            runs = [minimize(objective, s, jac=True, method=method, options=SCIPY[method]) for s in starts]
            found.append(min(run.fun for run in runs) / 1e3)
        return found

    ours: list[Seconds] = []
    theirs: dict[str, list[Seconds]] = {method: [] for method in SCIPY}
    reached: dict[str, Array] = {}
    for _ in range(options.rounds):
        solutions, seconds = timed(lambda: law.refit(loss, weight, guards=options.guards))
        ours.append(seconds)
        for method in SCIPY:
            values, seconds = timed(partial(loop, method))
            scale = options.replicates / options.part
            theirs[method].append(Seconds(seconds.wall * scale, seconds.cpu * scale))
            reached[method] = np.array(values)

    print(
        f"  {options.replicates} replicates from {len(starts)} starts each, {options.rounds} rounds; scipy's"
    )
    print(f"  time is that of {options.part} random replicates, scaled up")
    own = [scipy_objective(features, log_loss, weight[row])(solutions[row])[0] / 1e3 for row in part]
    report("ours", ours, ours, 0.0, 0.0)
    for method, passes in theirs.items():
        off = reached[method] / np.array(own) - 1
        if np.abs(off).max() > SAME_OPTIMUM:
            print(f"  {method} and ours are not at the same optimum")
        report(f"scipy {method}", passes, ours, off.max(), -off.min())

    checked = part[: options.checked]
    grid = law.start_grid(features, loss)
    curve = partial(Chinchilla.curve, features)
    lowest = np.array([minimise_huber(curve, grid, log_loss, weight[row]).objective.min() for row in checked])
    worse = (np.array(own[: options.checked]) / lowest - 1).max()
    print(
        f"  against all {len(grid)} starts on {len(checked)} replicates: at most {worse:.1e} above the best"
    )
    tracemalloc.start()
    law.refit(loss, weight, guards=options.guards)
    print(f"  peak memory of ours beyond the data {tracemalloc.get_traced_memory()[1] / 2**20:.0f} MiB")
    tracemalloc.stop()


def report(name: str, seconds: list[Seconds], ours: list[Seconds], above: float, below: float) -> None:
    wall, cpu = (median(getattr(one, kind) for one in seconds) for kind in ("wall", "cpu"))
    ratios = [
        [getattr(one, kind) / getattr(own, kind) for one, own in zip(seconds, ours, strict=True)]
        for kind in ("wall", "cpu")
    ]
    spread = "  ".join(f"{min(r):.1f} / {median(r):.1f}" for r in ratios)
    print(
        f"  {name:15} wall {wall:8.2f} s  cpu {cpu:8.2f} s  ratio min / median: wall, cpu {spread}  "
        f"objective above ours by at most {above:.1e}, below by {below:.1e}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=4000)
    parser.add_argument("--guards", type=int, default=2)
    parser.add_argument("--part", type=int, default=100)
    parser.add_argument("--checked", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    bench("synthetic", *synthetic_runs(), options)
    table = Path(os.environ.get("WARDLAW_DATA", SHARED)) / "scaling/epoch_chinchilla/svg_extracted_data.csv"
    if table.exists():
        bench("arXiv 2404.10102", *epoch_runs(table), options)


if __name__ == "__main__":
    main()
