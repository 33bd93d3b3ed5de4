"""Loss in size and number of replicas: the four forms that the DiLoCo study compared.

Charles et al. 2025, arXiv 2503.09799, fitted them at a fixed number of local steps (30) and 20 tokens a
parameter, and kept the third. None is fitted to runs without replicas (M = 0, plain data parallelism).
Exponents have the sign that makes them positive where more parameters help and more replicas cost.
"""

from typing import ClassVar

import numpy as np

from analysis.arrays import Array
from analysis.laws.power_sum import PowerSum

_SOURCE = "Charles et al. 2025, arXiv 2503.09799, parametric joint fits"
_SIZE = (0.03, 0.1, 0.3, 0.7)
_COUNT = (-0.03, 0.03, 0.3)


class ReplicasPower(PowerSum):
    """L(N, M) = A N^-alpha M^beta (arXiv 2503.09799, Table 10).

    Free parameters: A > 0 in nats, alpha and beta unbounded. beta > 0: twice the replicas cost a factor
    2^beta at every size. Without an irreducible loss it falls short beyond the sizes fitted.
    """

    name = "replicas-power"
    formula = "L(N, M) = A N^-alpha M^beta"
    source = _SOURCE
    inputs = ("N", "M")
    coefficients = ("A",)
    exponents = ("alpha", "beta")
    parameters = ("A", "alpha", "beta")
    exponent_starts: ClassVar = {"alpha": _SIZE, "beta": _COUNT}

    @staticmethod
    def features(inputs: Array) -> Array:
        """One term: minus log N, log M."""
        return _powers(inputs)[:, None, :]


class ReplicasOffset(PowerSum):
    """L(N, M) = E + A N^-alpha M^beta.

    Free parameters: E > 0 and A > 0 in nats, alpha and beta unbounded. The cost of replicas, relative to
    the loss, shrinks with N as the reducible part does.
    """

    name = "replicas-offset"
    formula = "L(N, M) = E + A N^-alpha M^beta"
    source = _SOURCE
    inputs = ("N", "M")
    coefficients = ("E", "A")
    exponents = ("alpha", "beta")
    parameters = ("E", "A", "alpha", "beta")
    exponent_starts: ClassVar = {"alpha": _SIZE, "beta": _COUNT}

    @staticmethod
    def features(inputs: Array) -> Array:
        """An irreducible term, and minus log N, log M."""
        powers = _powers(inputs)
        return np.stack([np.zeros_like(powers), powers], axis=1)


class ReplicasExponent(PowerSum):
    """L(N, M) = E + A N^-(alpha - kappa M).

    Free parameters: E > 0 and A > 0 in nats, alpha and kappa unbounded; the paper writes the exponent as
    alpha + beta M with alpha < 0, so that its beta is kappa. kappa > 0: each replica takes kappa from the
    exponent. It is linear in M and passes zero at M = alpha / kappa: no number of replicas near that can
    be predicted.
    """

    name = "replicas-exponent"
    formula = "L(N, M) = E + A N^-(alpha - kappa M)"
    source = _SOURCE
    inputs = ("N", "M")
    coefficients = ("E", "A")
    exponents = ("alpha", "kappa")
    parameters = ("E", "A", "alpha", "kappa")
    exponent_starts: ClassVar = {"alpha": _SIZE, "kappa": (-1e-3, 1e-4, 1e-3)}

    @staticmethod
    def features(inputs: Array) -> Array:
        """An irreducible term, and minus log N, M log N."""
        size = np.log(inputs[:, 0])
        powers = np.column_stack([-size, inputs[:, 1] * size])
        return np.stack([np.zeros_like(powers), powers], axis=1)


class ReplicasSum(PowerSum):
    """L(N, M) = E + A N^-alpha + B M^beta.

    Free parameters: E, A, B > 0 in nats, alpha and beta unbounded. The cost of replicas is the same in
    nats at every size. As beta falls to 0 only the sum E + B is determined; few numbers of replicas
    bound neither.
    """

    name = "replicas-sum"
    formula = "L(N, M) = E + A N^-alpha + B M^beta"
    source = _SOURCE
    inputs = ("N", "M")
    coefficients = ("E", "A", "B")
    exponents = ("alpha", "beta")
    parameters = ("E", "A", "B", "alpha", "beta")
    exponent_starts: ClassVar = {"alpha": _SIZE, "beta": (0.03, 0.3, 1.0)}

    @staticmethod
    def features(inputs: Array) -> Array:
        """An irreducible term, minus log N, log M."""
        features = np.zeros((len(inputs), 3, 2))
        features[:, 1, 0], features[:, 2, 1] = _powers(inputs).T
        return features


def _powers(inputs: Array) -> Array:
    """Minus log N and log M (n, 2)."""
    return np.asarray(np.log(inputs) * (-1.0, 1.0))
