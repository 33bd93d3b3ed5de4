"""Robust scaling of each lead: what a shard's manifest tells and a batch applies.

Quartiles come from a histogram of integers, so that they do not depend on the order of the records
and take the same memory for ten records and for a million.
"""

import numpy as np
from numpy.typing import NDArray

from client.ecg.record import LEADS

BIN_MV = 0.00025
"""Width of a bin: a quarter of the usual ADC's step."""
RANGE_MV = 32.768
"""What lies beyond is counted in the outermost bin, which no quartile of an ECG comes near."""
FLOOR_MV = 0.01
"""Least spread: a lead that hardly moves in most of the time is not blown up to noise."""
NORMAL_IQR = 1.349
"""Interquartile range of a normal distribution with standard deviation 1."""

_BINS = round(2 * RANGE_MV / BIN_MV)


class LeadHistogram:
    """Samples in mV, counted by lead."""

    def __init__(self) -> None:
        self._counts = np.zeros((len(LEADS), _BINS), np.int64)

    def add(self, millivolts: NDArray[np.floating]) -> None:
        """Count a signal, (samples, 12) in mV."""
        bins = np.floor((millivolts + RANGE_MV) / BIN_MV).clip(0, _BINS - 1).astype(np.int64)
        np.add.at(self._counts, (np.arange(len(LEADS)), bins), 1)

    def quantiles(self, share: float) -> NDArray[np.float64]:
        """The value of each lead below which ``share`` of its samples lie, (12,) in mV, to a bin's width."""
        cumulative = self._counts.cumsum(axis=1)
        wanted = share * cumulative[:, -1]
        place = np.array([np.searchsorted(row, value) for row, value in zip(cumulative, wanted, strict=True)])
        within = np.take_along_axis(self._counts, place[:, None], axis=1)[:, 0]
        below = np.take_along_axis(cumulative, place[:, None], axis=1)[:, 0] - within
        part = (wanted - below) / np.maximum(within, 1)
        edges: NDArray[np.float64] = (place + part) * BIN_MV - RANGE_MV
        return edges

    def center_and_scale(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Median, and interquartile range over 1.349 or ``FLOOR_MV``, of each lead in mV.

        Without a sample: 0 and 1, which leave signals as they are.
        """
        if not self._counts.any():
            return np.zeros(len(LEADS)), np.ones(len(LEADS))
        spread = (self.quantiles(0.75) - self.quantiles(0.25)) / NORMAL_IQR
        return self.quantiles(0.5), np.maximum(spread, FLOOR_MV)
