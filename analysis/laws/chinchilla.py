"""The Chinchilla law in size and tokens."""

from itertools import product

import numpy as np

from analysis.laws.law import ScalingLaw
from analysis.solvers.damped_newton import Array

_EXPONENTS = (0.05, 0.15, 0.35, 0.7, 1.2)
# Shares of the loss that the size, the tokens and the irreducible term start with.
_SHARES = ((0.1, 0.1, 0.8), (0.25, 0.25, 0.5), (0.45, 0.45, 0.1), (0.1, 0.4, 0.5), (0.4, 0.1, 0.5))


class Chinchilla(ScalingLaw):
    """L(N, D) = E + A / N^alpha + B / D^beta (arXiv 2203.15556, equation 2).

    Free parameters: E, A, B > 0 in nats, alpha and beta unbounded. Proved against the 240 points of
    arXiv 2404.10102, where the published minimum had been missed.
    """

    name = "chinchilla"
    formula = "L(N, D) = E + A / N^alpha + B / D^beta"
    source = "Hoffmann et al. 2022, arXiv 2203.15556, equation 2"
    inputs = ("N", "D")
    parameters = ("E", "A", "B", "alpha", "beta")

    @staticmethod
    def curve(log_inputs: Array, theta: Array) -> tuple[Array, Array]:
        """log(exp(e) + exp(a - alpha log N) + exp(b - beta log D)), theta = (e, a, b, alpha, beta)."""
        log_n, log_d = log_inputs.T
        floor, log_a, log_b, alpha, beta = (theta[:, i, None] for i in range(5))
        of_size, of_tokens = log_a - alpha * log_n, log_b - beta * log_d
        prediction = np.logaddexp(np.logaddexp(floor, of_size), of_tokens)
        size, tokens = np.exp(of_size - prediction), np.exp(of_tokens - prediction)
        columns = [np.exp(floor - prediction), size, tokens, -size * log_n, -tokens * log_d]
        return prediction, np.stack(columns, axis=-1)

    @staticmethod
    def start_grid(log_loss: float) -> Array:
        """Pairs of exponents with the loss shared out among the three terms."""
        return np.array(
            [
                (
                    log_loss + np.log(floor),
                    log_loss + np.log(of_size),
                    log_loss + np.log(of_tokens),
                    alpha,
                    beta,
                )
                for alpha, beta in product(_EXPONENTS, repeat=2)
                for of_size, of_tokens, floor in _SHARES
            ]
        )

    @staticmethod
    def natural(theta: Array, centre: Array) -> Array:
        """(E, A, B, alpha, beta)."""
        floor, log_a, log_b, alpha, beta = np.moveaxis(theta, -1, 0)
        coefficients = np.exp(log_a + alpha * centre[0]), np.exp(log_b + beta * centre[1])
        return np.stack([np.exp(floor), *coefficients, alpha, beta], axis=-1)
