"""The law of over-training: Chinchilla's with one exponent for size and tokens."""

from typing import ClassVar

import numpy as np

from analysis.arrays import Array
from analysis.laws.power_sum import PowerSum


class Overtraining(PowerSum):
    """L(N, D) = E + (a M^eta + b M^-eta) C^-eta, C = 6 N D, M = D / N (arXiv 2403.08540).

    Free parameters: E, a, b > 0 (E in nats; a and b in nats FLOP^eta), eta unbounded. Since
    M / C = 1 / (6 N^2) and 1 / (M C) = 1 / (6 D^2), it is Chinchilla's law with alpha = beta = 2 eta,
    A = a 6^-eta and B = b 6^-eta: the best M is the same at every compute, and at a fixed M the
    reducible loss falls with C^-eta.
    """

    name = "overtraining"
    formula = "L(N, D) = E + (a M^eta + b M^-eta) C^-eta, C = 6 N D, M = D / N"
    source = "Gadre et al. 2024, arXiv 2403.08540"
    inputs = ("N", "D")
    coefficients = ("E", "a", "b")
    exponents = ("eta",)
    parameters = ("E", "a", "b", "eta")
    exponent_starts: ClassVar = {"eta": (0.03, 0.08, 0.17, 0.35, 0.6)}

    @staticmethod
    def features(inputs: Array) -> Array:
        """An irreducible term, log M - log C, -log M - log C."""
        features = np.zeros((len(inputs), 3, 1))
        features[:, 1:, 0] = -2 * np.log(inputs) - np.log(6)
        return features
