"""Bands of replicated curves whose values may not exist everywhere."""

from dataclasses import dataclass

import numpy as np

from analysis.arrays import Array
from analysis.uncertainty.intervals import tails


@dataclass(frozen=True)
class Band:
    """A 95 % band at m levels; NaN where there are no replicates.

    Attributes
    ----------
    low, high : ndarray (m,)
        0 and infinite where replicates have no ratio.
    defined : ndarray (m,)
        Share of the replicates that have one.
    """

    low: Array
    high: Array
    defined: Array


def ratio_band(replicates: Array, degrees: float) -> Band:
    """Percentile band of positive ratios (R, m).

    Replicates without a ratio are counted and not left out: 0 and infinity are ends like others, and one
    that is undefined (NaN) counts as both.
    """
    if not len(replicates):
        nothing = np.full(replicates.shape[1], np.nan)
        return Band(nothing, nothing, nothing)
    low, high = tails(degrees)
    undefined = np.isnan(replicates)
    # Without interpolation, which has no meaning between a number and infinity.
    return Band(
        np.quantile(np.where(undefined, 0.0, replicates), low, axis=0, method="lower"),
        np.quantile(np.where(undefined, np.inf, replicates), high, axis=0, method="higher"),
        (np.isfinite(replicates) & (replicates > 0)).mean(axis=0),
    )
