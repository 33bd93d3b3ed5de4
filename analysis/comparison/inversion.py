"""Fitted curves inverted: which size, how many tokens or how much compute a loss takes."""

from collections.abc import Callable

import numpy as np

from analysis.arrays import Array

Curve = Callable[[Array], Array]
"""Logs of an input (R, m) to losses (R, m): row r is the curve of replicate r."""

# Farther than this factor beyond the runs, a curve counts as never getting there.
_FARTHEST = 1e15
_HALVINGS, _GOLDEN_STEPS = 45, 40
_GOLDEN = (np.sqrt(5) - 1) / 2


def invert_falling(curve: Curve, levels: Array, low: float, high: float, rows: int) -> Array:
    """Log of the input at which each replicate's falling curve passes each loss, by bisection.

    Parameters
    ----------
    curve : callable
        Falls in its input.
    levels : ndarray (m,)
        Losses.
    low, high : float
        Range of the runs' inputs; the search goes a factor of 1e15 beyond.
    rows : int
        Replicates R.

    Returns
    -------
    ndarray (R, m)
        Infinite where the curve stays above the loss (its irreducible loss is higher, or the input would
        be absurd), minus infinite where it stays below, NaN where it does not fall.
    """
    left, right = (np.full((rows, len(levels)), np.log(end)) for end in (low / _FARTHEST, high * _FARTHEST))
    first, last = curve(left), curve(right)
    for _ in range(_HALVINGS):
        middle = 0.5 * (left + right)
        above = curve(middle) > levels
        left, right = np.where(above, middle, left), np.where(above, right, middle)
    found = np.where(last > levels, np.inf, np.where(first < levels, -np.inf, 0.5 * (left + right)))
    return np.where(first > last, found, np.nan)


def lowest_between(curve: Curve, low: Array, high: Array) -> Array:
    """Where each curve with one minimum is lowest between ``low`` and ``high`` (R, m), by golden section."""
    for _ in range(_GOLDEN_STEPS):
        width = _GOLDEN * (high - low)
        left, right = high - width, low + width
        falls = curve(left) > curve(right)
        low, high = np.where(falls, left, low), np.where(falls, high, right)
    return np.asarray(0.5 * (low + high))
