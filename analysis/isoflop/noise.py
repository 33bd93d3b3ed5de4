"""How noisy the losses of each budget are, from the residuals of a few runs each.

With 2 to 10 degrees of freedom a budget, its own variance is too uncertain to weigh by, and one variance
for all is wrong where the noise, or the misfit of the parabolas, differs between budgets. The variances
are therefore moderated (Smyth, Statistical Applications in Genetics and Molecular Biology 3, 2004): each
is drawn towards a common one as far as the variances differ no more than chance explains. Alike, they
become one; unlike, they stay their own.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import digamma, polygamma

from analysis.arrays import Array

_DEGREES = (1e-2, 1e6)
# Residuals of this size are rounding.
_ROUNDING = 1e-30


@dataclass(frozen=True)
class Noise:
    """Noise of B budgets, in units of the fitted quantity.

    Attributes
    ----------
    deviation : ndarray (B,)
        Standard deviation.
    degrees : ndarray (B,)
        Degrees of freedom behind it; one where there are fewer.
    shape : ndarray (M,)
        Residuals of all budgets, each scaled to mean 0 and variance 1.
    """

    deviation: Array
    degrees: Array
    shape: Array


def estimate_noise(residual: Array, leverage: Array, used: NDArray[np.bool_], parameters: int) -> Noise:
    """Moderated noise of B fits to at most n runs.

    Parameters
    ----------
    residual, leverage : ndarray (B, n)
    used : ndarray (B, n) of bool
        Runs that count; at least one budget has more than ``parameters``.
    parameters : int
        Of each fit.
    """
    spare = np.maximum(used.sum(axis=1) - parameters, 0).astype(np.float64)
    squares = np.where(used, residual, 0.0) ** 2
    has = spare > 0
    own = np.maximum(squares.sum(axis=1)[has] / spare[has], _ROUNDING)
    common, prior = _common_variance(own, spare[has])
    share = spare[has] / (spare[has] + prior)
    # A fit without a run to spare says nothing of its noise: it is taken to be the mean of the others'.
    variance = np.full(len(spare), own @ spare[has] / spare.sum())
    variance[has] = (1 - share) * common + share * own
    deviation = np.sqrt(variance)
    # A run with all the leverage decides its own fit, and has no residual.
    free = used & (leverage < 1 - 1e-9)
    shape = (
        residual[free] / np.sqrt(1 - leverage[free]) / np.broadcast_to(deviation[:, None], used.shape)[free]
    )
    shape = shape - shape.mean()
    degrees = np.clip(spare + prior, 1.0, spare.sum())
    return Noise(deviation, degrees, shape / np.sqrt((shape**2).mean()))


def _common_variance(own: Array, degrees: Array) -> tuple[float, float]:
    """The common variance and its degrees of freedom, by the moments of the logs (Smyth 2004, 6.2)."""
    half = degrees / 2
    logs = np.log(own) - digamma(half) + np.log(half)
    excess = float(logs.var(ddof=1) - polygamma(1, half).mean()) if len(logs) > 1 else 0.0
    least, most = (float(polygamma(1, end / 2)) for end in reversed(_DEGREES))
    if excess <= least:
        return float(own @ degrees / degrees.sum()), np.inf
    prior = 2 * float(brentq(lambda x: float(polygamma(1, x)) - min(excess, most), *np.array(_DEGREES) / 2))
    return float(np.exp(logs.mean() + digamma(prior / 2) - np.log(prior / 2))), prior
