"""Laws of training with differential privacy, in size, tokens and the noise-batch ratio."""

from collections.abc import Collection
from typing import ClassVar

import numpy as np

from analysis.arrays import Array
from analysis.laws.noise import log_ratio, log_response, noisy_runs
from analysis.laws.power_sum import PowerSum

_EXPONENTS = (0.15, 0.5)
_NOISE = 3


class _WithNoise(PowerSum):
    """Chinchilla's law and a term of noise, which is absent where S = 0."""

    source = "McKenna et al. 2025, arXiv 2501.18914, appendix E"
    inputs = ("N", "D", "S")
    may_be_zero = frozenset({"S"})
    coefficients = ("E", "A", "B", "C")

    @classmethod
    def centre(cls, features: Array, fixed: Collection[str] = ()) -> Array:
        """Mean features of the runs with noise."""
        return super().centre(features[noisy_runs(features[:, _NOISE, 2])], fixed)


class Private(_WithNoise):
    """L(N, D, S) = E + A / N^alpha + B / D^beta + C s^gamma1 / N^gamma2, s = sigmoid((log S + 8) / 1.6).

    The better of the two parametric laws of arXiv 2501.18914, appendix E. The paper's second term is in
    training steps at one batch size; D is tokens here, which are proportional to them, so that B alone
    differs. S = 0 is training without noise: the last term is then absent.

    Free parameters: E, A, B, C > 0 in nats, the exponents unbounded; a negative gamma2 says that noise
    costs larger models more, as the paper's -0.07 does. With runs at S = 0, gamma1 is positive.
    """

    name = "private"
    formula = (
        "L(N, D, S) = E + A / N^alpha + B / D^beta + C s^gamma1 / N^gamma2, s = sigmoid((log S + 8) / 1.6)"
    )
    exponents = ("alpha", "beta", "gamma1", "gamma2")
    parameters = ("E", "A", "B", "C", "alpha", "beta", "gamma1", "gamma2")
    exponent_starts: ClassVar = {
        "alpha": _EXPONENTS,
        "beta": _EXPONENTS,
        "gamma1": (0.5, 1.5),
        "gamma2": (-0.1, 0.2),
    }

    @staticmethod
    def features(inputs: Array) -> Array:
        """An irreducible term, minus log N, minus log D, log s with minus log N."""
        size, tokens, noise = inputs.T
        features = np.zeros((len(inputs), 4, 4))
        features[:, 1, 0], features[:, 2, 1] = -np.log(size), -np.log(tokens)
        features[:, _NOISE, 2], features[:, _NOISE, 3] = log_response(noise), -np.log(size)
        return features


class PrivatePower(_WithNoise):
    """L(N, D, S) = E + A / N^alpha + B / D^beta + C S^gamma, the plain law of the same appendix.

    For comparison: the loss is S-shaped in log S, which a power is not, and the paper's fit of it is poor
    (alpha 0.71, beta 12.87, gamma 0.19). D, S = 0 and the parameters as in ``Private``; S^gamma is 0 at
    S = 0 too, since gamma is positive wherever noise does harm.
    """

    name = "private-power"
    formula = "L(N, D, S) = E + A / N^alpha + B / D^beta + C S^gamma"
    exponents = ("alpha", "beta", "gamma")
    parameters = ("E", "A", "B", "C", "alpha", "beta", "gamma")
    exponent_starts: ClassVar = {"alpha": _EXPONENTS, "beta": _EXPONENTS, "gamma": (0.2, 0.5, 1.0)}

    @staticmethod
    def features(inputs: Array) -> Array:
        """An irreducible term, minus log N, minus log D, log S."""
        size, tokens, noise = inputs.T
        features = np.zeros((len(inputs), 4, 3))
        features[:, 1, 0], features[:, 2, 1] = -np.log(size), -np.log(tokens)
        features[:, _NOISE, 2] = log_ratio(noise)
        return features
