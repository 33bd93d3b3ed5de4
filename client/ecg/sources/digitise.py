"""Signals in mV as an analogue-to-digital converter would have given them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.ecg.checks import MISSING
from client.ecg.record import LEADS

UNITS_PER_MILLIVOLT = 1000.0
"""A step of 1 microvolt, as PTB-XL and the Challenge's databases have it: finer than an electrode's noise."""

_LARGEST = 2.0**30


def digitise(
    millivolts: NDArray[Any],
) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.float64]]:
    """Digital samples, gain and baseline of signals in mV, shape (samples, 12).

    Samples that are not finite become ``MISSING``.

    Examples
    --------
    >>> digitise(np.full((1, 12), 0.5))[0][0, 0]
    np.int32(500)
    """
    steps = np.asarray(millivolts, np.float64) * UNITS_PER_MILLIVOLT
    finite = np.isfinite(steps)
    whole = np.rint(np.clip(np.where(finite, steps, 0.0), -_LARGEST, _LARGEST))
    digital = np.where(finite, whole, MISSING).astype(np.int32)
    return digital, np.full(len(LEADS), UNITS_PER_MILLIVOLT), np.zeros(len(LEADS))
