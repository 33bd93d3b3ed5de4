"""Change a signal's sampling rate, with a filter against aliasing.

A linear-phase low-pass FIR filter (Kaiser window; Oppenheim and Schafer, Discrete-Time Signal
Processing, section 7.6) between an up-sampler and a down-sampler. Of the lower of the two Nyquist
frequencies it passes the first 80 % to 0.1 % and suppresses what lies above all of it by 60 dB at
least: from 500 Hz to 100 Hz, tones up to 40 Hz pass, and from 50 Hz (mains) on they are gone.

The filter runs as matrix products: outputs come in blocks of equal phase, so that one small banded
matrix gives every block from its window of inputs.
"""

from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import signal

PASSED = 0.8
"""Share of the lower Nyquist frequency that passes unchanged."""
ATTENUATION = 70.0
"""Ripple of the design in dB, with room for its rounding to float32 and for Kaiser's formula."""
_LARGEST_FACTOR = 1000
_BLOCK = 32


def ratio(rate: float, new_rate: float) -> Fraction:
    """``new_rate / rate`` as the nearest fraction with a denominator of 1000 at most.

    Examples
    --------
    >>> ratio(500, 100), ratio(257, 100)
    (Fraction(1, 5), Fraction(100, 257))
    """
    return (Fraction(new_rate) / Fraction(rate)).limit_denominator(_LARGEST_FACTOR)


def resampled_length(samples: int, rate: float, new_rate: float) -> int:
    """Samples that ``resampled`` returns: ``samples * new_rate / rate``, rounded up."""
    factor = ratio(rate, new_rate)
    return -(-samples * factor.numerator // factor.denominator)


@lru_cache(maxsize=16)
def taps(up: int, down: int) -> NDArray[np.float64]:
    """Filter for ``scipy.signal.resample_poly(..., up, down, window=taps)``, of odd length, with sum 1."""
    nyquist = 1 / max(up, down)
    length, beta = signal.kaiserord(ATTENUATION, (1 - PASSED) * nyquist)
    middle = (1 + PASSED) / 2 * nyquist
    filtered: NDArray[np.float64] = signal.firwin(length | 1, middle, window=("kaiser", beta))
    return filtered


def resampled(values: NDArray[np.floating], rate: float, new_rate: float) -> NDArray[np.float32]:
    """A signal at another rate; sample 0 stays at time 0.

    Before its first and after its last sample the signal is taken to stay as it is there, so that an
    offset makes no step; within half the filter's length (0.22 s at 100 Hz) of either end the
    output leans on that.

    Parameters
    ----------
    values : (samples, leads) float
        In mV.
    rate, new_rate : float
        Samples a second.

    Returns
    -------
    (``resampled_length``, leads) float32
    """
    factor = ratio(rate, new_rate)
    if factor == 1:
        return values.astype(np.float32)
    up, down = factor.numerator, factor.denominator
    matrix, before, hop = _blocks(up, down)
    outputs, window = matrix.shape
    length = resampled_length(len(values), rate, new_rate)
    blocks = -(-length // outputs)
    after = (blocks - 1) * hop + window - before - len(values)
    padded = np.pad(values.astype(np.float32), ((before, max(after, 0)), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, window, axis=0)[::hop][:blocks]
    filtered: NDArray[np.float32] = (matrix @ windows.transpose(0, 2, 1)).reshape(blocks * outputs, -1)
    return filtered[:length]


@lru_cache(maxsize=16)
def _blocks(up: int, down: int) -> tuple[NDArray[np.float32], int, int]:
    """Matrix (outputs, window) of a block; inputs that its window starts before; inputs a block advances.

    Output ``m`` is the sum over inputs ``n`` of ``up * taps[half + m * down - n * up]``.
    """
    filtered = up * taps(up, down)
    half = len(filtered) // 2
    periods = -(-_BLOCK // up)
    outputs, hop = periods * up, periods * down
    before = half // up
    last = ((outputs - 1) * down + half) // up
    inputs = np.arange(-before, last + 1)
    place = half + np.arange(outputs)[:, None] * down - inputs[None, :] * up
    within = (place >= 0) & (place < len(filtered))
    matrix = np.where(within, filtered[place.clip(0, len(filtered) - 1)], 0)
    return matrix.astype(np.float32), before, hop
