"""What privacy noise is to a law: powers of the noise-batch ratio that vanish without noise.

The noise-batch ratio S is the standard deviation of the noise on the mean gradient of a batch, whose
per-example gradients are clipped to norm 1: noise multiplier over batch size (arXiv 2501.18914).
S = 0 is training without noise.
"""

import numpy as np
from numpy.typing import NDArray

from analysis.arrays import Array

# Stands for the log of 0. Finite, so that a vanished term times its feature is 0 and not NaN; so low that
# exp(gamma times it) is under rounding for every gamma above 0.004; and lower than the log of any float.
_NO_NOISE = -1e4
FULL_NOISE = 1e4
"""Log of a ratio at which every response is 1."""

_CENTRE, _WIDTH = -8.0, 1.6


def log_ratio(noise: Array) -> Array:
    """Log of the noise-batch ratio (n,)."""
    logs = np.full(noise.shape, _NO_NOISE)
    return np.log(noise, out=logs, where=noise > 0)


def log_response(noise: Array) -> Array:
    """Log of s = sigmoid((log S + 8) / 1.6), the S-shaped response of arXiv 2501.18914, appendix E."""
    response = -np.logaddexp(0.0, (_CENTRE - log_ratio(noise)) / _WIDTH)
    return np.where(noise > 0, response, _NO_NOISE)


def noisy_runs(log_noise: Array) -> NDArray[np.bool_]:
    """Which runs have noise, (n,), by ``log_ratio`` from any origin; all of them if none has.

    A law is centred at these: those without would draw the centre far below all that is fitted.
    """
    noisy: NDArray[np.bool_] = log_noise > log_noise.max() + _NO_NOISE / 2
    return noisy
