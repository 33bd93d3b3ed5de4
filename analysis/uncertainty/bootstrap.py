"""Resampled runs and the intervals that they give.

Seeds are the replicates. With n_h runs at size h, drawing runs within each size (a stratified
bootstrap) is too narrow when n_h is 2 or 3: its variance is short by (n_h - 1) / n_h, and at 2 seeds
only three draws a size exist. So the deviations of log losses from their size's mean are pooled over
an arm's sizes, each inflated by sqrt(n_h / (n_h - 1)), and drawn from that pool onto the means; and
percentiles are taken at the levels of Student's t (the "expanded percentile interval" of Hesterberg,
The American Statistician 69, 2015). ``tests/analysis/test_bootstrap.py`` measures the coverage.
The assumption is that seed noise is the same fraction of the loss at all sizes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.stats import norm, t

from analysis.solvers.damped_newton import Array
from wardlaw.seeds import generator

LEVEL = 0.95
POOLED_DEVIATIONS = "bootstrap of seed deviations, pooled over sizes"
WHOLE_RUNS = "bootstrap of whole runs over all sizes"
_RUNS_FOR_DRAWING_THEM_WHOLE = 20


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval; ``low`` and ``high`` are None where nothing supports one."""

    estimate: float
    low: float | None
    high: float | None

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside; False without an interval."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class SeedNoise:
    """Spread of the log loss between seeds.

    Attributes
    ----------
    deviation : float or None
        Pooled standard deviation of log loss within sizes; None without replicated sizes.
    degrees : int
        Its degrees of freedom: sum over sizes of seeds - 1.
    """

    deviation: float | None
    degrees: int


@dataclass(frozen=True)
class Resamples:
    """R replicates of an arm's n runs.

    Attributes
    ----------
    log_loss, weight : ndarray, broadcastable to (R, n)
    degrees : int
        Degrees of freedom behind the replicates.
    method : str
    """

    log_loss: Array
    weight: Array
    degrees: int
    method: str

    def interval(self, estimate: float, replicates: Array) -> Interval:
        """Percentile interval at the levels that ``degrees`` degrees of freedom call for."""
        return percentile_interval(estimate, replicates, self.degrees)


def percentile_interval(estimate: float, replicates: Array, degrees: int) -> Interval:
    """95 % percentile interval, expanded for few degrees of freedom (Hesterberg 2015)."""
    tail = norm.cdf(t.ppf((1 - LEVEL) / 2, degrees))
    low, high = np.quantile(replicates, [tail, 1 - tail])
    return Interval(estimate, float(low), float(high))


def common_uniforms(table: pl.DataFrame, replicates: int, seed: int) -> dict[tuple[int, int, int], Array]:
    """A stream of uniform numbers (R,) for every (size, tokens, seed) of a study.

    All arms draw by the same numbers, so that arms with the same sizes and seeds are resampled in
    pairs: a difference between arms then has the noise of matched seeds.
    """
    cells = table.select("parameters", "tokens", "seed").unique().sort("parameters", "tokens", "seed").rows()
    return {cell: generator(seed, "bootstrap", *cell).random(replicates) for cell in cells}


def seed_noise(table: pl.DataFrame, loss: str) -> SeedNoise:
    """Pooled spread between seeds of one arm's log loss."""
    runs = _within_sizes(table, loss)
    degrees = len(runs) - runs.select("parameters", "tokens").n_unique()
    if not degrees:
        return SeedNoise(None, 0)
    return SeedNoise(float(np.linalg.norm(runs["deviation"].to_numpy()) / np.sqrt(degrees)), degrees)


def resample_runs(
    table: pl.DataFrame, loss: str, uniforms: Mapping[tuple[int, int, int], Array]
) -> Resamples | None:
    """Replicates of one arm's runs, in the order of ``table``.

    Returns
    -------
    Resamples or None
        From pooled seed deviations; whole runs drawn over all sizes where no size has two seeds but
        there are 20 runs or more; None where neither is possible.
    """
    runs = _within_sizes(table, loss)
    drawn = np.stack([uniforms[cell] for cell in table.select("parameters", "tokens", "seed").rows()], axis=1)
    if degrees := seed_noise(table, loss).degrees:
        replicated = runs.filter(pl.col("seeds") > 1)
        inflated = replicated.select(pl.col("deviation") * (pl.col("seeds") / (pl.col("seeds") - 1)).sqrt())
        pool = inflated["deviation"].to_numpy()
        log_loss = runs["mean"].to_numpy() + pool[np.floor(drawn * len(pool)).astype(np.int64)]
        return Resamples(log_loss, np.ones((1, len(runs))), degrees, POOLED_DEVIATIONS)
    if len(runs) < _RUNS_FOR_DRAWING_THEM_WHOLE:
        return None
    source = np.floor(drawn * len(runs)).astype(np.int64)
    counts = np.stack([np.bincount(row, minlength=len(runs)) for row in source]).astype(np.float64)
    return Resamples(runs["log_loss"].to_numpy()[None], counts, len(runs) - 1, WHOLE_RUNS)


def _within_sizes(table: pl.DataFrame, loss: str) -> pl.DataFrame:
    """Log loss of each run, its size's mean, its deviation from it, and the size's number of seeds."""
    point = ("parameters", "tokens")
    return table.select(*point, log_loss=pl.col(loss).log()).with_columns(
        mean=pl.col("log_loss").mean().over(point),
        deviation=pl.col("log_loss") - pl.col("log_loss").mean().over(point),
        seeds=pl.len().over(point),
    )
