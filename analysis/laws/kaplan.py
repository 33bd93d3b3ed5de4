"""Kaplan's joint law in size and tokens."""

from itertools import product

import numpy as np

from analysis.arrays import Array
from analysis.laws.law import ScalingLaw

_EXPONENTS = (0.05, 0.15, 0.4, 1.0)
# Shares of the target that start as irreducible, and of the rest that start as the size's.
_IRREDUCIBLE, _OF_SIZE = (0.1, 0.4, 0.7, 0.9), (0.2, 0.8)


class Kaplan(ScalingLaw):
    """L(N, D) = E + ((A / N)^(alpha / beta) + B / D)^beta.

    Equation 1.5 of arXiv 2001.08361 with an irreducible term, as arXiv 2411.12925 fits it. With unlimited
    tokens it is E + (A / N)^alpha, with unlimited size E + (B / D)^beta; in between, unlike Chinchilla's,
    size and tokens limit one another.

    Free parameters, all positive: E in nats, A and B in the units of N and of D (Kaplan's N_c and D_c),
    alpha and beta. The solver sees all of them as logs, A and B as multiples of the mean N and D.
    """

    name = "kaplan"
    formula = "L(N, D) = E + ((A / N)^(alpha / beta) + B / D)^beta"
    source = "Kaplan et al. 2020, arXiv 2001.08361, equation 1.5; E as in arXiv 2411.12925"
    inputs = ("N", "D")
    parameters = ("E", "A", "B", "alpha", "beta")
    exponents = ("alpha", "beta")
    bounds = "all positive"

    @staticmethod
    def curve(features: Array, theta: Array) -> tuple[Array, Array]:
        """Log of the law, theta = logs of (E, A, B, alpha, beta) with A and B at the centre."""
        floor, size, tokens = (theta[:, [j]] for j in range(3))
        alpha, beta = (np.exp(theta[:, [j]]) for j in (3, 4))
        ratio = alpha / beta
        by_size, by_tokens = ratio * (size - features[:, 0]), tokens - features[:, 1]
        inner = np.logaddexp(by_size, by_tokens)
        prediction = np.logaddexp(floor, beta * inner)
        of_size = np.exp(by_size - inner)
        reducible = np.exp(beta * inner - prediction)
        slopes = (
            np.exp(floor - prediction),
            reducible * alpha * of_size,
            reducible * beta * (1 - of_size),
            reducible * beta * of_size * by_size,
            reducible * beta * (inner - of_size * by_size),
        )
        return prediction, np.stack(slopes, axis=-1)

    @staticmethod
    def start_grid(features: Array, target: Array) -> Array:
        """All combinations of exponents, with the mean target shared out at the centre."""
        level = float(np.log(target).mean())
        starts = []
        for alpha, beta, floor, size in product(_EXPONENTS, _EXPONENTS, _IRREDUCIBLE, _OF_SIZE):
            inner = (level + np.log1p(-floor)) / beta
            by_size, by_tokens = inner + np.log(size), inner + np.log1p(-size)
            at_centre = by_size * beta / alpha + features[:, 0].mean(), by_tokens + features[:, 1].mean()
            starts.append((level + np.log(floor), *at_centre, np.log(alpha), np.log(beta)))
        return np.array(starts)

    @staticmethod
    def natural(theta: Array, centre: Array) -> Array:
        """Exponentials, A and B back from the centre; infinite where an exponent vanished."""
        with np.errstate(over="ignore"):
            return np.exp(theta + _shift(centre))

    @staticmethod
    def internal(natural: Array, centre: Array) -> Array:
        """Logs, A and B at the centre."""
        return np.log(natural) - _shift(centre)


def _shift(centre: Array) -> Array:
    """What the centre (log N, log D) adds to the five logs."""
    return np.array([0.0, *centre, 0.0, 0.0])
