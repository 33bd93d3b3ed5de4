"""Power laws in one input, with and without an irreducible loss."""

import numpy as np

from analysis.laws.law import ScalingLaw
from analysis.solvers.damped_newton import Array

_EXPONENTS = (0.03, 0.1, 0.3, 0.7, 1.5, 3.0)
_SHARES = (0.02, 0.1, 0.3, 0.6, 0.9)


class PurePowerLaw(ScalingLaw):
    """L(N) = A N^-alpha: a straight line in the logs (arXiv 2001.08361, equation 1.1).

    Free parameters: A > 0 in nats, alpha unbounded. Where the true loss has a floor, alpha is too small
    and falls with the sizes fitted; prefer ``PowerLaw`` from four sizes on.
    """

    name = "pure-power"
    formula = "L(N) = A N^-alpha"
    source = "Kaplan et al. 2020, arXiv 2001.08361, equation 1.1"
    inputs = ("N",)
    parameters = ("A", "alpha")

    @staticmethod
    def curve(log_inputs: Array, theta: Array) -> tuple[Array, Array]:
        """Log loss a - alpha log N, with theta = (a, alpha)."""
        log_n = log_inputs[:, 0]
        prediction = theta[:, :1] - theta[:, 1:] * log_n
        jacobian = np.stack([np.ones_like(log_n), -log_n], axis=-1)
        return prediction, np.broadcast_to(jacobian, (*prediction.shape, 2)).copy()

    @staticmethod
    def start_grid(log_loss: float) -> Array:
        """Any exponent, at the mean log loss."""
        return np.array([(log_loss, exponent) for exponent in _EXPONENTS])

    @staticmethod
    def natural(theta: Array, centre: Array) -> Array:
        """(A, alpha)."""
        return np.stack([np.exp(theta[..., 0] + theta[..., 1] * centre[0]), theta[..., 1]], axis=-1)


class PowerLaw(ScalingLaw):
    """L(N) = E + A N^-alpha (arXiv 2010.14701, equation 1.1; arXiv 2203.15556 at fixed D).

    Free parameters: E > 0 and A > 0 in nats, alpha unbounded. E is what remains at infinite N with
    everything else as in the runs, so at a finite token budget it is not below the data's entropy.
    """

    name = "power"
    formula = "L(N) = E + A N^-alpha"
    source = "Henighan et al. 2020, arXiv 2010.14701, equation 1.1"
    inputs = ("N",)
    parameters = ("E", "A", "alpha")

    @staticmethod
    def curve(log_inputs: Array, theta: Array) -> tuple[Array, Array]:
        """log(exp(e) + exp(a - alpha log N)), with theta = (e, a, alpha)."""
        log_n = log_inputs[:, 0]
        floor, reducible = theta[:, :1], theta[:, 1:2] - theta[:, 2:] * log_n
        prediction = np.logaddexp(floor, reducible)
        share = np.exp(reducible - prediction)
        return prediction, np.stack([1 - share, share, -share * log_n], axis=-1)

    @staticmethod
    def start_grid(log_loss: float) -> Array:
        """Any exponent with any share of the loss irreducible."""
        return np.array(
            [
                (log_loss + np.log(share), log_loss + np.log1p(-share), exponent)
                for exponent in _EXPONENTS
                for share in _SHARES
            ]
        )

    @staticmethod
    def natural(theta: Array, centre: Array) -> Array:
        """(E, A, alpha)."""
        floor, log_a, alpha = np.moveaxis(theta, -1, 0)
        return np.stack([np.exp(floor), np.exp(log_a + alpha * centre[0]), alpha], axis=-1)
