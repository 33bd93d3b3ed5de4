"""Resampled runs.

Where runs are replicated, seeds are the replicates. With n_h runs at point h, drawing runs within each
point (a stratified bootstrap) is too narrow when n_h is 2 or 3: its variance is short by
(n_h - 1) / n_h, and at 2 seeds only three draws a point exist. So the deviations of log targets from
their point's mean are pooled over a group's points, each inflated by sqrt(n_h / (n_h - 1)), and drawn
from that pool onto the means. Their scale is known from few runs, and is drawn too: each replicate's
deviations are multiplied by sqrt(f / chi-squared(f)) with f the pool's degrees of freedom, which for a
straight line gives Student's t. The assumption is that seed noise is the same fraction of the target at
all points, which two seeds at one size of many cannot show: at least half of the points must be
replicated, and those of the smallest and of the largest first input (the size) among them. Where runs
have weights, deviations are standardised by their square roots.

``tests/analysis/test_bootstrap.py`` holds the coverage with two seeds a size.

Where they are not, whole runs are drawn with replacement, a run's checkpoints together: they share
their seed and their data, and count as one; and percentiles are taken at the levels of Student's t (the
"expanded percentile interval" of Hesterberg, The American Statistician 69, 2015). With 42 as the seed the
draws are those of Besiroglu et al. 2024 (arXiv 2404.10102). Groups with the same runs in the same order
are drawn in pairs here too.

``python -m bench.coverage`` measures how often either holds a known difference of exponents. What was
tried and left: residual and wild bootstraps of single runs, which are too narrow where noise falls with the
size, and intervals mirrored about the estimate ("basic"), which are too since exponents err to one side.

For laws on the raw scale read the target for its log throughout.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

from analysis.arrays import Array
from analysis.solvers.objective import Scale, from_scale, to_scale
from analysis.tables.sample import Sample
from analysis.uncertainty.intervals import Interval, percentile_interval
from wardlaw.seeds import generator

POOLED_DEVIATIONS = "bootstrap of seed deviations, pooled over sizes"
WHOLE_RUNS = "bootstrap of whole runs over all sizes"
_RUNS_FOR_DRAWING_THEM_WHOLE = 20
# With one degree of freedom the scale drawn has no bounds to speak of.
_LEAST_DEGREES = 2


@dataclass(frozen=True)
class SeedNoise:
    """Spread of the log target between seeds.

    Attributes
    ----------
    deviation : float or None
        Pooled standard deviation within points, of the log target or (raw scale) of the target, at the
        mean weight; None without replicated points.
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
    scale : ndarray (R,)
        Scale of the noise in each replicate, as a multiple of the estimated one.
    degrees : float
        Degrees of freedom that percentiles are expanded for; infinite where the scale is drawn.
    method : str
    """

    target: Array
    weight: Array
    scale: Array
    degrees: float
    method: str

    def interval(self, estimate: float, replicates: Array) -> Interval:
        """Percentile interval at the levels that ``degrees`` degrees of freedom call for."""
        return percentile_interval(estimate, replicates, self.degrees)


def seed_noise(sample: Sample, scale: Scale = "log") -> SeedNoise:
    """Pooled spread between seeds of one group's target on a scale.

    Unknown where rows share a run, or where something else than the seed tells rows of a point apart.
    """
    degrees = sample.rows - len(np.unique(sample.cells))
    if not degrees or sample.has_checkpoints or sample.sweeps:
        return SeedNoise(None, 0)
    deviations = np.sqrt(sample.weight) * (to_scale(sample.target, scale) - _means(sample, scale))
    return SeedNoise(float(np.linalg.norm(deviations) / np.sqrt(degrees)), degrees)


def resample(sample: Sample, replicates: int, seed: int, scale: Scale = "log") -> Resamples | None:
    """Replicates of one group's runs.

    Groups draw by the same numbers at the same points and seeds, so that a difference between groups
    has the noise of matched seeds. Groups that are not replicated alike have other pools, and share
    the scale of the noise alone.

    Returns
    -------
    Resamples or None
        From pooled seed deviations where at least half of the points are replicated, the smallest and the
        largest among them; whole runs drawn over all points where there are 20 runs or more; None where
        neither is possible.
    """
    noise = seed_noise(sample, scale)
    if noise.degrees >= _LEAST_DEGREES and _represents(sample):
        return _pooled(sample, noise.degrees, replicates, seed, scale)
    place = {run: number for number, run in enumerate(dict.fromkeys(sample.runs.tolist()))}
    runs = len(place)
    if runs < _RUNS_FOR_DRAWING_THEM_WHOLE:
        return None
    # The legacy generator, whose stream NumPy has frozen, is what published bootstraps drew with.
    random = np.random.RandomState(seed)
    counts = np.array([np.bincount(random.choice(runs, runs), minlength=runs) for _ in range(replicates)])
    weight = counts[:, [place[run] for run in sample.runs.tolist()]].astype(np.float64)
    return Resamples(sample.target[None], weight, np.ones(replicates), runs - 1, WHOLE_RUNS)


def _represents(sample: Sample) -> bool:
    """Whether the replicated points can speak for all."""
    first = sample.inputs[:, 0]
    replicated = sample.seeds_at_point > 1
    points, of_those = (len(np.unique(cells)) for cells in (sample.cells, sample.cells[replicated]))
    return 2 * of_those >= points and {first.min(), first.max()} <= set(first[replicated])


def _pooled(sample: Sample, degrees: int, replicates: int, seed: int, scale: Scale) -> Resamples:
    keys = _keys(sample)
    drawn = np.stack([generator(seed, "bootstrap", *key).random(replicates) for key in keys], axis=1)
    means, root = _means(sample, scale), np.sqrt(sample.weight)
    share = sample.weight / _sums(sample, sample.weight)
    # In the order of their keys, so that one number draws the same point and seed in every group.
    replicated = [row for row in sorted(range(sample.rows), key=keys.__getitem__) if share[row] < 1]
    deviations = root * (to_scale(sample.target, scale) - means)
    pool = deviations[replicated] / np.sqrt(1 - share[replicated])
    uniform = generator(seed, "bootstrap", "scale").random(replicates)
    spread = np.sqrt(degrees / chi2.ppf(uniform, degrees))
    noise = spread[:, None] * pool[np.floor(drawn * len(pool)).astype(np.int64)] / root
    return Resamples(
        from_scale(means + noise, scale), np.ones((1, sample.rows)), spread, np.inf, POOLED_DEVIATIONS
    )


def _means(sample: Sample, scale: Scale) -> Array:
    """Weighted mean target on a scale of each row's point (n,)."""
    values = to_scale(sample.target, scale)
    return _sums(sample, sample.weight * values) / _sums(sample, sample.weight)


def _sums(sample: Sample, values: Array) -> Array:
    """Sum of values (n,) over each row's point (n,)."""
    _, cell = np.unique(sample.cells, return_inverse=True)
    return np.asarray(np.bincount(cell, values)[cell])


def _keys(sample: Sample) -> list[tuple[str, int, int]]:
    """What names a row's random numbers: its point and seed, and which of those it is."""
    seen: Counter[tuple[str, int]] = Counter()
    keys: list[tuple[str, int, int]] = []
    for matched, seed in zip(sample.matched, sample.seeds, strict=True):
        point = (str(matched), int(seed))
        keys.append((*point, seen[point]))
        seen[point] += 1
    return keys
