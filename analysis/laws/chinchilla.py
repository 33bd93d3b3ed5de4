"""The Chinchilla law in size and tokens."""

from typing import ClassVar

import numpy as np

from analysis.arrays import Array
from analysis.laws.power_sum import PowerSum

_EXPONENTS = (0.05, 0.15, 0.35, 0.7, 1.2)


class Chinchilla(PowerSum):
    """L(N, D) = E + A / N^alpha + B / D^beta (arXiv 2203.15556, equation 2).

    Free parameters: E, A, B > 0 in nats, alpha and beta unbounded. Proved against the 240 points of
    arXiv 2404.10102, where the published minimum had been missed.
    """

    name = "chinchilla"
    formula = "L(N, D) = E + A / N^alpha + B / D^beta"
    source = "Hoffmann et al. 2022, arXiv 2203.15556, equation 2"
    inputs = ("N", "D")
    coefficients = ("E", "A", "B")
    exponents = ("alpha", "beta")
    parameters = ("E", "A", "B", "alpha", "beta")
    exponent_starts: ClassVar = {"alpha": _EXPONENTS, "beta": _EXPONENTS}

    @staticmethod
    def features(inputs: Array) -> Array:
        """An irreducible term, minus log N, minus log D."""
        features = np.zeros((len(inputs), 3, 2))
        features[:, 1, 0], features[:, 2, 1] = -np.log(inputs).T
        return features
