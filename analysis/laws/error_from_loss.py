"""Error rates and task metrics from a loss. Both are bounded, so their noise is taken as additive."""

from typing import ClassVar

import numpy as np
from scipy.special import expit

from analysis.arrays import Array
from analysis.laws.law import ScalingLaw
from analysis.solvers.objective import SQUARES, Objective, Scale

_NOTHING = np.finfo(np.float64).tiny
# In units of one over the range of the losses.
_STEEPNESS = np.array([0.2, 0.7, 2.0, 5.0, 15.0])
# Where the middle of a logistic curve starts, in ranges from the smallest loss.
_MIDDLES = np.array([-0.5, 0.1, 0.5, 0.9, 1.5])


class ErrorExponential(ScalingLaw):
    """Err(L) = eps - k exp(-gamma L) (Gadre et al. 2024, arXiv 2403.08540).

    Free parameters: eps (the error at large loss) and gamma unbounded, k > 0.
    """

    name = "error-exponential"
    formula = "Err(L) = eps - k exp(-gamma L)"
    source = "Gadre et al. 2024, arXiv 2403.08540, downstream error"
    inputs = ("L",)
    target = "err"
    scale: ClassVar[Scale] = "raw"
    default_objective: ClassVar[Objective] = SQUARES
    parameters = ("eps", "k", "gamma")
    exponents = ("gamma",)
    bounds = "k positive, eps and gamma unbounded"

    @staticmethod
    def features(inputs: Array) -> Array:
        """The losses themselves."""
        return inputs

    @staticmethod
    def curve(features: Array, theta: Array) -> tuple[Array, Array]:
        """Err, theta = (eps, log k at the centre, gamma)."""
        eps, log_k, gamma = (theta[:, [place]] for place in range(3))
        loss = features[:, 0]
        with np.errstate(over="ignore"):
            gained = np.exp(log_k - gamma * loss)
        return eps - gained, np.stack([np.ones_like(gained), -gained, gained * loss], axis=-1)

    @staticmethod
    def start_grid(features: Array, target: Array) -> Array:
        """Rates of the sign that the errors ask for, each with its best straight line."""
        loss = features[:, 0]
        gamma = np.concatenate([_STEEPNESS, -_STEEPNESS]) / np.ptp(loss)
        slope, eps = _line(np.exp(-gamma[:, None] * loss), target)
        starts = np.column_stack([eps, np.log(np.maximum(-slope, _NOTHING)), gamma])
        fitting: Array = starts[slope <= max(slope.min(), 0.0)]
        return fitting

    @staticmethod
    def natural(theta: Array, centre: Array) -> Array:
        """K at zero loss from its log at the centre."""
        eps, log_k, gamma = np.moveaxis(theta, -1, 0)
        return np.stack([eps, np.exp(log_k + gamma * centre[0]), gamma], axis=-1)

    @staticmethod
    def internal(natural: Array, centre: Array) -> Array:
        """Log of k at the centre."""
        eps, k, gamma = np.moveaxis(natural, -1, 0)
        return np.stack([eps, np.log(k) - gamma * centre[0], gamma], axis=-1)


class MetricLogistic(ScalingLaw):
    """metric(L) = a / (1 + exp(-k (L - L0))) + b (Bhagia et al. 2024, arXiv 2412.04403).

    Free parameters: a > 0, the others unbounded. k < 0 for a metric that falls with the loss, such as an
    accuracy; (a, k, b) and (-a, -k, a + b) are the same curve, hence the bound.
    """

    name = "metric-logistic"
    formula = "metric(L) = a / (1 + exp(-k (L - L0))) + b"
    source = "Bhagia et al. 2024, arXiv 2412.04403, task accuracy from task loss"
    inputs = ("L",)
    target = "metric"
    scale: ClassVar[Scale] = "raw"
    default_objective: ClassVar[Objective] = SQUARES
    parameters = ("a", "k", "L0", "b")
    exponents = ("k",)
    bounds = "a positive, k, L0 and b unbounded"

    @staticmethod
    def features(inputs: Array) -> Array:
        """The losses themselves."""
        return inputs

    @staticmethod
    def curve(features: Array, theta: Array) -> tuple[Array, Array]:
        """Metric, theta = (log a, k, L0 - centre, b)."""
        log_a, k, middle, b = (theta[:, [place]] for place in range(4))
        distance = features[:, 0] - middle
        share = expit(k * distance)
        a = np.exp(log_a)
        slope = a * share * (1 - share)
        columns = (a * share, slope * distance, -slope * k, np.ones_like(share))
        return a * share + b, np.stack(columns, axis=-1)

    @staticmethod
    def start_grid(features: Array, target: Array) -> Array:
        """Steepness of the sign that the metric asks for, and middles, each with its best straight line."""
        loss = features[:, 0]
        steepness = np.concatenate([_STEEPNESS, -_STEEPNESS]) / np.ptp(loss)
        k, middle = (grid.ravel() for grid in np.meshgrid(steepness, loss.min() + _MIDDLES * np.ptp(loss)))
        slope, b = _line(expit(k[:, None] * (loss - middle[:, None])), target)
        starts = np.column_stack([np.log(np.maximum(slope, _NOTHING)), k, middle, b])
        fitting: Array = starts[slope >= min(slope.max(), 0.0)]
        return fitting

    @staticmethod
    def natural(theta: Array, centre: Array) -> Array:
        """From log a and L0 - centre."""
        log_a, k, middle, b = np.moveaxis(theta, -1, 0)
        return np.stack([np.exp(log_a), k, middle + centre[0], b], axis=-1)

    @staticmethod
    def internal(natural: Array, centre: Array) -> Array:
        """Log a and L0 - centre."""
        a, k, middle, b = np.moveaxis(natural, -1, 0)
        return np.stack([np.log(a), k, middle - centre[0], b], axis=-1)


def _line(terms: Array, target: Array) -> tuple[Array, Array]:
    """Slopes and intercepts (S,) of the least-squares lines of the target (n,) in terms (S, n)."""
    deviation = terms - terms.mean(axis=1, keepdims=True)
    slope = deviation @ (target - target.mean()) / np.maximum((deviation**2).sum(axis=1), _NOTHING)
    return slope, target.mean() - slope * terms.mean(axis=1)
