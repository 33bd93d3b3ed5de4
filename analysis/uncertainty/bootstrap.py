"""Resampled runs.

Where runs are replicated, seeds are the replicates. With n_h runs at point h, drawing runs within each
point (a stratified bootstrap) is too narrow when n_h is 2 or 3: its variance is short by
(n_h - 1) / n_h, and at 2 seeds only three draws a point exist. So the deviations of log targets from
their point's mean are pooled over a group's points, each inflated by sqrt(n_h / (n_h - 1)), and drawn
from that pool onto the means; and percentiles are taken at the levels of Student's t (the "expanded
percentile interval" of Hesterberg, The American Statistician 69, 2015).
``tests/analysis/test_bootstrap.py`` measures the coverage. The assumption is that seed noise is the
same fraction of the target at all points.

Where they are not, whole runs are drawn with replacement, a run's checkpoints together: they share
their seed and their data, and count as one. With 42 as the seed the draws are those of Besiroglu et al.
2024 (arXiv 2404.10102). Groups with the same runs in the same order are drawn in pairs here too.

``python -m bench.coverage`` measures how often either holds a known difference of exponents. What was
measured and left: residual and wild bootstraps of single runs, which hold it in 86 % of draws where noise
falls with the size, and intervals mirrored about the estimate ("basic"), which do in 82 %, since
exponents err to one side.

For laws on the raw scale read the target for its log throughout.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from analysis.solvers.damped_newton import Array
from analysis.solvers.objective import Scale, from_scale, to_scale
from analysis.tables.sample import Sample
from analysis.uncertainty.intervals import Interval, percentile_interval
from wardlaw.seeds import generator

POOLED_DEVIATIONS = "bootstrap of seed deviations, pooled over sizes"
WHOLE_RUNS = "bootstrap of whole runs over all sizes"
_RUNS_FOR_DRAWING_THEM_WHOLE = 20


@dataclass(frozen=True)
class SeedNoise:
    """Spread of the log target between seeds.

    Attributes
    ----------
    deviation : float or None
        Pooled standard deviation within points, of the log target or (raw scale) of the target; None
        without replicated points.
    degrees : int
        Its degrees of freedom: sum over points of seeds - 1.
    """

    deviation: float | None
    degrees: int


@dataclass(frozen=True)
class Resamples:
    """R replicates of a group's n rows.

    Attributes
    ----------
    target, weight : ndarray, broadcastable to (R, n)
    degrees : int
        Degrees of freedom behind the replicates.
    method : str
    """

    target: Array
    weight: Array
    degrees: int
    method: str

    def interval(self, estimate: float, replicates: Array) -> Interval:
        """Percentile interval at the levels that ``degrees`` degrees of freedom call for."""
        return percentile_interval(estimate, replicates, self.degrees)


def seed_noise(sample: Sample, scale: Scale = "log") -> SeedNoise:
    """Pooled spread between seeds of one group's target on a scale; unknown where rows share a run."""
    deviations, seeds = _within_points(sample, scale)
    degrees = len(seeds) - len(np.unique(sample.cells))
    if not degrees or sample.has_checkpoints:
        return SeedNoise(None, 0)
    return SeedNoise(float(np.linalg.norm(deviations) / np.sqrt(degrees)), degrees)


def resample(sample: Sample, replicates: int, seed: int, scale: Scale = "log") -> Resamples | None:
    """Replicates of one group's runs.

    Groups draw by the same numbers at the same points and seeds, so that a difference between groups
    has the noise of matched seeds.

    Returns
    -------
    Resamples or None
        From pooled seed deviations where at least half of the points are replicated; whole runs drawn
        over all points where there are 20 runs or more; None where neither is possible.
    """
    noise = seed_noise(sample, scale)
    if noise.degrees and 2 * noise.degrees >= len(np.unique(sample.cells)):
        drawn = np.stack([generator(seed, "bootstrap", *key).random(replicates) for key in _keys(sample)], 1)
        deviations, seeds = _within_points(sample, scale)
        pool = (deviations * np.sqrt(seeds / np.maximum(seeds - 1, 1)))[seeds > 1]
        means = to_scale(sample.target, scale) - deviations
        targets = from_scale(means + pool[np.floor(drawn * len(pool)).astype(np.int64)], scale)
        return Resamples(targets, np.ones((1, sample.rows)), noise.degrees, POOLED_DEVIATIONS)
    place = {run: number for number, run in enumerate(dict.fromkeys(sample.runs.tolist()))}
    runs = len(place)
    if runs < _RUNS_FOR_DRAWING_THEM_WHOLE:
        return None
    # The legacy generator, whose stream NumPy has frozen, is what published bootstraps drew with.
    random = np.random.RandomState(seed)
    counts = np.array([np.bincount(random.choice(runs, runs), minlength=runs) for _ in range(replicates)])
    weight = counts[:, [place[run] for run in sample.runs.tolist()]].astype(np.float64)
    return Resamples(sample.target[None], weight, runs - 1, WHOLE_RUNS)


def _within_points(sample: Sample, scale: Scale) -> tuple[Array, Array]:
    """Deviation of each target on a scale from its point's mean, and the point's number of runs."""
    values = to_scale(sample.target, scale)
    _, cell, counts = np.unique(sample.cells, return_inverse=True, return_counts=True)
    return values - (np.bincount(cell, values) / counts)[cell], counts[cell].astype(np.float64)


def _keys(sample: Sample) -> list[tuple[str | int, ...]]:
    """What names a row's random numbers: its point and seed, and which of those it is."""
    seen: Counter[tuple[str, int]] = Counter()
    keys: list[tuple[str | int, ...]] = []
    for matched, seed in zip(sample.matched, sample.seeds, strict=True):
        point = (str(matched), int(seed))
        keys.append((*point, seen[point]))
        seen[point] += 1
    return keys
