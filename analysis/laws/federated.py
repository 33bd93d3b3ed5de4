"""Loss in size, tokens, sites and local steps."""

from collections.abc import Collection
from typing import ClassVar

import numpy as np

from analysis.arrays import Array
from analysis.laws.power_sum import PowerSum

_EXPONENTS = (0.15, 0.35, 0.7)
_DRIFT = (-0.03, 0.03)


class Federated(PowerSum):
    """L(N, D, M, H) = E + A N^-alpha M^(mu log H) + B D^-beta M^(nu log H): ours, not published.

    The Chinchilla law in all sites' tokens, with each term raised by what averaging loses. Free
    parameters: E, A, B > 0 in nats, all exponents unbounded; mu, nu > 0 where drift costs.

    Drift acts through log M times log H, the lowest-order term that is zero in both cases without it:
    one site averages with nobody (M = 1), and averaging after each step is data-parallel training
    (H = 1). So M = 1 or H = 1 is Chinchilla's law exactly, which mu = nu = 0 is a nested case of.

    nu > 0 means that M sites get less out of the same tokens, mu > 0 that they get less out of the
    same parameters. Which of the two it is decides the sign of the effect on the optimal size at fixed
    compute, N_opt ~ M^((mu - nu) log H / (alpha + beta)), so both are left to the runs. They can be told
    apart only where N and D vary apart. Where H is the same in all runs, its effect is assumed and not
    measured: the law then holds at that H.
    """

    name = "federated"
    formula = "L(N, D, M, H) = E + A N^-alpha M^(mu log H) + B D^-beta M^(nu log H)"
    source = "this project; reduces to Hoffmann et al. 2022, arXiv 2203.15556, equation 2"
    inputs = ("N", "D", "M", "H")
    coefficients = ("E", "A", "B")
    exponents = ("alpha", "beta", "mu", "nu")
    parameters = ("E", "A", "B", "alpha", "beta", "mu", "nu")
    exponent_starts: ClassVar = {"alpha": _EXPONENTS, "beta": _EXPONENTS, "mu": _DRIFT, "nu": _DRIFT}

    @staticmethod
    def features(inputs: Array) -> Array:
        """An irreducible term; minus log N and log M log H; minus log D and log M log H."""
        size, tokens, sites, steps = np.log(inputs).T
        features = np.zeros((len(inputs), 3, 4))
        features[:, 1, 0], features[:, 2, 1] = -size, -tokens
        features[:, 1, 2] = features[:, 2, 3] = sites * steps
        return features

    @classmethod
    def told_apart(cls, inputs: Array, fixed: Collection[str]) -> dict[str, Array]:
        """N, D and the drift M^log H, as far as one of their exponents is free."""
        size, tokens, sites, steps = inputs.T
        exponents = {
            "N": (size, {"alpha"}),
            "D": (tokens, {"beta"}),
            "M^log H": (sites ** np.log(steps), {"mu", "nu"}),
        }
        return {name: values for name, (values, needed) in exponents.items() if needed - set(fixed)}
