"""Bootstrap of whole configurations: runs that share their hyper-parameters count as one."""

from dataclasses import dataclass

import numpy as np

from analysis.arrays import Array
from analysis.importance.design_space import Labels
from analysis.uncertainty.intervals import Interval, percentile_interval
from wardlaw.seeds import generator

# Fewer support no percentile interval.
FEW = 10


@dataclass(frozen=True)
class Draws:
    """Replicates of some runs.

    Attributes
    ----------
    configuration : ndarray (n,) of int
        Of each run, from 0 to C - 1.
    counts : ndarray (R, C)
        How often each configuration was drawn; R is 0 where there are too few of them.
    """

    configuration: Labels
    counts: Array

    def sums(self, values: Array) -> Array:
        """Sums (R, k) over the runs drawn of values (n, k)."""
        by_configuration = np.zeros((self.counts.shape[1], values.shape[1]))
        np.add.at(by_configuration, self.configuration, values)
        return self.counts @ by_configuration

    def interval(self, estimate: float, replicates: Array) -> Interval:
        """Percentile interval of an estimate whose replicates (R,) are given."""
        usable = replicates[np.isfinite(replicates)]
        if not len(usable) or not np.isfinite(estimate):
            return Interval(estimate, None, None)
        return percentile_interval(estimate, usable, self.counts.shape[1] - 1)


def draw_configurations(configuration: Labels, replicates: int, seed: int) -> Draws:
    """Draw as many configurations as there are, with replacement.

    Parameters
    ----------
    configuration : ndarray (n,) of int
        Of each run.
    replicates, seed : int
    """
    distinct, place = np.unique(configuration, return_inverse=True)
    number = len(distinct)
    drawn = replicates if number >= FEW else 0
    counts = generator(seed, "configurations").multinomial(number, np.full(number, 1 / number), size=drawn)
    return Draws(place.astype(np.int64), counts.astype(np.float64))
