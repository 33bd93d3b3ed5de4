"""Power laws in one input, with and without an irreducible loss."""

from typing import ClassVar

import numpy as np

from analysis.arrays import Array
from analysis.laws.power_sum import PowerSum

_EXPONENTS = (0.03, 0.1, 0.3, 0.7, 1.5, 3.0)


class PurePowerLaw(PowerSum):
    """L(N) = A N^-alpha: a straight line in the logs (arXiv 2001.08361, equation 1.1).

    Free parameters: A > 0 in nats, alpha unbounded. Where the true loss has a floor, alpha is too small
    and falls with the sizes fitted; prefer ``PowerLaw`` from four sizes on.
    """

    name = "pure-power"
    formula = "L(N) = A N^-alpha"
    source = "Kaplan et al. 2020, arXiv 2001.08361, equation 1.1"
    inputs = ("N",)
    coefficients = ("A",)
    exponents = ("alpha",)
    parameters = ("A", "alpha")
    exponent_starts: ClassVar = {"alpha": _EXPONENTS}

    @staticmethod
    def features(inputs: Array) -> Array:
        """One term, minus log N."""
        return -np.log(inputs)[:, None, :]


class PowerLaw(PowerSum):
    """L(N) = E + A N^-alpha (arXiv 2010.14701, equation 1.1; arXiv 2203.15556 at fixed D).

    Free parameters: E > 0 and A > 0 in nats, alpha unbounded. E is what remains at infinite N with
    everything else as in the runs, so at a finite token budget it is not below the data's entropy.
    """

    name = "power"
    formula = "L(N) = E + A N^-alpha"
    source = "Henighan et al. 2020, arXiv 2010.14701, equation 1.1"
    inputs = ("N",)
    coefficients = ("E", "A")
    exponents = ("alpha",)
    parameters = ("E", "A", "alpha")
    exponent_starts: ClassVar = {"alpha": _EXPONENTS}

    @staticmethod
    def features(inputs: Array) -> Array:
        """An irreducible term, and minus log N."""
        size = -np.log(inputs)
        return np.stack([np.zeros_like(size), size], axis=1)


class PurePowerLawOfTokens(PurePowerLaw):
    """L(D) = A D^-alpha (arXiv 2001.08361), at one size or none that matters.

    Free parameters: as in ``PurePowerLaw``.
    """

    name = "pure-power-D"
    formula = "L(D) = A D^-alpha"
    source = "Kaplan et al. 2020, arXiv 2001.08361"
    inputs = ("D",)


class PurePowerLawOfCompute(PurePowerLaw):
    """L(C) = A C^-alpha (arXiv 2001.08361), along the best use of compute.

    Free parameters: as in ``PurePowerLaw``.
    """

    name = "pure-power-C"
    formula = "L(C) = A C^-alpha"
    source = "Kaplan et al. 2020, arXiv 2001.08361"
    inputs = ("C",)


class PowerLawOfTokens(PowerLaw):
    """L(D) = E + A D^-alpha (arXiv 2010.14701, equation 1.1, in tokens).

    Free parameters: as in ``PowerLaw``; E is what remains at infinite tokens and the runs' size.
    """

    name = "power-D"
    formula = "L(D) = E + A D^-alpha"
    inputs = ("D",)


class PowerLawOfCompute(PowerLaw):
    """L(C) = E + A C^-alpha (arXiv 2010.14701, equation 1.1, in compute).

    Free parameters: as in ``PowerLaw``; the runs should be those that make the best use of compute.
    """

    name = "power-C"
    formula = "L(C) = E + A C^-alpha"
    inputs = ("C",)
