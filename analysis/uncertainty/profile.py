"""Profile likelihood: how far a parameter can move before the others cannot make up for it."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq
from scipy.special import erf
from scipy.stats import t

from analysis.laws.law import ScalingLaw
from analysis.solvers.damped_newton import Array
from analysis.uncertainty.intervals import LEVEL, Interval

PROFILE = "profile likelihood with a fitted scale"
_SPANS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_REFINEMENTS, _POINTS = 3, 17


def profile_interval(law: ScalingLaw, name: str) -> Interval:
    """95 % profile likelihood interval of one parameter of a fitted law.

    The parameter is held at values around its estimate, the others are fitted anew, and the interval
    ends where twice the loss of log likelihood passes n log(1 + t^2 / (n - p)), which for Gaussian noise
    is Student's interval (and chi-squared's 3.84 for many runs). The likelihood is that of the
    objective's own noise (``log_likelihood``). Runs must be independent.

    Returns
    -------
    Interval
        An end is infinite (or 0 for a positive parameter) where the runs do not bound it.
    """
    estimate = law.params_[name]
    parameters = len(law.parameters) - len(law.fixed_)
    spare = law.n_ - parameters
    if spare < 1 or name in law.fixed_:
        return Interval(estimate, None, None)
    best = log_likelihood(law.objective_, law.n_, law.objective.delta)
    cut = 0.5 * law.n_ * np.log1p(t.ppf(0.5 + LEVEL / 2, spare) ** 2 / spare)

    def lost(values: Array) -> Array:
        objective, _ = law.profile(name, values)
        return np.array([best - log_likelihood(one, law.n_, law.objective.delta) for one in objective])

    return Interval(estimate, _end(estimate, -1, lost, cut), _end(estimate, 1, lost, cut))


def log_likelihood(objective: float, runs: int, delta: float) -> float:
    """Largest log likelihood over the noise's scale.

    The density is exp(-huber(r) / s) / Z(s): a Gaussian with exponential tails from ``delta`` on, the
    one whose negative log is the objective. With an infinite delta it is the Gaussian.

    The threshold is in units of the residual and stays where it is as the scale s moves. Besiroglu et
    al. 2024 (arXiv 2404.10102) measure it in units of the scale, exp(-huber(r / s)) / (s Z): at 1e-3
    that is Laplace's density, whose optimum (their published parameters) is that of the absolute loss.

    Parameters
    ----------
    objective : float
        Sum over runs of Huber's loss, unweighted.
    runs : int
    delta : float
    """
    # Where the law is not defined (a floor above a loss) nothing is likely.
    if not np.isfinite(objective):
        return -np.inf
    if np.isinf(delta):
        return float(-0.5 * runs * (np.log(4 * np.pi * max(objective, 1e-300) / runs) + 1))
    mean = max(objective / runs, 1e-300)

    def slope(log_scale: float) -> float:
        """Derivative of the negative log likelihood per run in the log of s."""
        h = 1e-5
        rise = _log_normaliser(log_scale + h, delta) - _log_normaliser(log_scale - h, delta)
        return float(rise / (2 * h) - mean / np.exp(log_scale))

    log_scale = float(brentq(slope, np.log(mean) - 5, np.log(mean) + 5))
    return float(-runs * (mean / np.exp(log_scale) + _log_normaliser(log_scale, delta)))


def _log_normaliser(log_scale: float, delta: float) -> float:
    s = np.exp(log_scale)
    centre = np.sqrt(2 * np.pi * s) * erf(delta / np.sqrt(2 * s))
    return float(np.log(centre + 2 * s / delta * np.exp(-(delta**2) / (2 * s))))


def _end(estimate: float, side: int, lost: Callable[[Array], Array], cut: float) -> float:
    """Where the loss of likelihood passes the cut on one side: bracketed, then refined on finer grids."""
    inner, outer = 0.0, np.inf
    reach = np.array(_SPANS) * abs(estimate)
    if side < 0 and estimate > 0:
        reach = abs(estimate) * (1 - np.exp(-np.array(_SPANS)))
    for _ in range(1 + _REFINEMENTS):
        values = lost(estimate + side * reach)
        beyond = np.flatnonzero(values > cut)
        if not len(beyond):
            return (0.0 if estimate > 0 else -np.inf) if side < 0 else np.inf
        place = int(beyond[0])
        inner, outer = (reach[place - 1] if place else inner), reach[place]
        reach = np.linspace(inner, outer, _POINTS)[1:]
    return float(estimate + side * 0.5 * (inner + outer))
