"""The joint law over size, data, sites and privacy noise, with the neutral values of its parts."""

from collections.abc import Collection, Mapping
from itertools import product
from typing import ClassVar

import numpy as np

from analysis.arrays import Array
from analysis.laws.law import ScalingLaw
from analysis.laws.noise import log_response, noisy_runs
from analysis.laws.repeats import NO_DECAY, bounded, log_worth

_COEFFICIENTS = 4
_SIZE, _DATA, _NOISE = 1, 2, 3
_BETA, _DECAY = 7, 10
_EXPONENTS = (0.15, 0.5)
_SHARES = (
    (0.7, 0.1, 0.1, 0.1),
    (0.4, 0.2, 0.2, 0.2),
    (0.1, 0.3, 0.3, 0.3),
    (0.4, 0.4, 0.1, 0.1),
    (0.4, 0.1, 0.4, 0.1),
)


class Joint(ScalingLaw):
    """L = E + A M^mu / N^(alpha - kappa log M) + B / D_eff^beta + C s^gamma1 / N^gamma2.

    Its parts are published, their sum is this project's:

    - Size and tokens: Chinchilla's law (arXiv 2203.15556, equation 2).
    - Repeats: D_eff = U_D (1 + R_D (1 - exp((1 - D / U_D) / R_D))) with U_D = min(U, D) of U unique tokens
      (arXiv 2305.16264), without the decay of excess size. R_D > 0 is the number of repeats
      after which one more is worth 1 / e.
    - Sites: the exponent of size changes with the M models that are averaged, as in the best of the forms
      of DiLoCo (arXiv 2503.09799), A N^(a + b M) + C; but with log M, so that M = 1 is
      neutral and every doubling costs the same. The factor M^mu goes with it, since without one the cost
      of sites would depend on the unit of N. A negative kappa says that large models suffer less, as they
      do in DiLoCo's runs.
    - Noise: s = sigmoid((log S + 8) / 1.6) of the noise-batch ratio S (arXiv 2501.18914, appendix E);
      S = 0 is none.

    Free parameters: E, A, B, C > 0 in nats, R_D > 0, exponents unbounded. ``neutral`` has the values at
    which a part has no effect: a law without it is this law with those held.
    """

    name = "joint"
    formula = (
        "L(N, D, U, M, S) = E + A M^mu / N^(alpha - kappa log M) + B / D_eff^beta + C s^gamma1 / N^gamma2, "
        "D_eff = U_D (1 + R_D (1 - exp((1 - D / U_D) / R_D))), U_D = min(U, D), "
        "s = sigmoid((log S + 8) / 1.6)"
    )
    source = "arXiv 2203.15556, 2305.16264, 2503.09799 and 2501.18914, one term or factor from each"
    inputs = ("N", "D", "U", "M", "S")
    may_be_zero = frozenset({"S"})
    parameters = ("E", "A", "B", "C", "alpha", "mu", "kappa", "beta", "gamma1", "gamma2", "R_D")
    exponents = ("alpha", "mu", "kappa", "beta", "gamma1", "gamma2")
    bounds = "coefficients and R_D positive, exponents unbounded"
    neutral: ClassVar[Mapping[str, Mapping[str, float]]] = {
        "repeats": {"R_D": NO_DECAY},
        "sites": {"mu": 0.0, "kappa": 0.0},
        # The exponents of an absent term are of no consequence, but no run could tell them.
        "noise": {"C": 0.0, "gamma1": 1.0, "gamma2": 0.0},
    }
    absent: ClassVar[Mapping[str, float | str]] = {"U": "D", "M": 1.0, "S": 0.0}
    """What an input is in runs that do not say: a number, or another input."""

    @staticmethod
    def features(inputs: Array) -> Array:
        """What multiplies each exponent in the log of each term, and in the last column log(D / U_D)."""
        size, tokens, unique, sites, noise = inputs.T
        log_size, log_sites = np.log(size), np.log(sites)
        features = np.zeros((len(inputs), _COEFFICIENTS, 7))
        features[:, _SIZE, :3] = np.stack([-log_size, log_sites, log_sites * log_size], axis=-1)
        features[:, _DATA, 3], features[:, _DATA, 6] = (
            -np.log(tokens),
            np.log(np.maximum(tokens / unique, 1.0)),
        )
        features[:, _NOISE, 4], features[:, _NOISE, 5] = log_response(noise), -log_size
        return features

    @classmethod
    def centre(cls, features: Array, fixed: Collection[str] = ()) -> Array:
        """Mean features of the runs with noise; zero for repeats and for terms whose coefficient is fixed."""
        centre: Array = features[noisy_runs(features[:, _NOISE, 4])].mean(axis=0)
        centre[:, 6] = 0.0
        centre[[name in fixed for name in cls.parameters[:_COEFFICIENTS]]] = 0.0
        return centre

    @staticmethod
    def curve(features: Array, theta: Array) -> tuple[Array, Array]:
        """Log of the law, theta = (log coefficients at the centre, exponents, log R_D)."""
        powers, log_ratio = features[..., :-1], features[:, _DATA, -1]
        runs, terms, width = powers.shape
        worth, _, slope = log_worth(log_ratio, theta[:, [_DECAY]])
        discount, beta = log_ratio - worth, theta[:, [_BETA]]
        log_terms = (theta[:, terms:-1] @ powers.reshape(-1, width).T).reshape(-1, runs, terms)
        log_terms += theta[:, None, :terms]
        log_terms[..., _DATA] += beta * discount
        prediction = np.logaddexp.reduce(log_terms, axis=-1)
        jacobian = np.zeros((len(theta), runs, theta.shape[1]))
        shares = jacobian[..., :terms]
        np.exp(log_terms - prediction[..., None], out=shares)
        for term, exponent in np.argwhere((powers != 0).any(axis=0)):
            jacobian[..., terms + exponent] += shares[..., term] * powers[:, term, exponent]
        jacobian[..., _BETA] += shares[..., _DATA] * discount
        jacobian[..., _DECAY] = -shares[..., _DATA] * beta * slope
        return prediction, jacobian

    @staticmethod
    def start_grid(features: Array, target: Array) -> Array:
        """Exponents of size and data, and R_D, with the mean target shared out among the terms."""
        level = float(np.log(target).mean())
        return np.array(
            [
                (*(level + np.log(shares)), alpha, 0.0, 0.0, beta, 1.0, 0.0, np.log(repeats))
                for alpha, beta, repeats in product(_EXPONENTS, _EXPONENTS, (3.0, 20.0))
                for shares in _SHARES
            ]
        )

    @staticmethod
    def natural(theta: Array, centre: Array) -> Array:
        """Coefficients and R_D from their logs; exponents as they are."""
        powers = theta[..., _COEFFICIENTS:-1]
        coefficients = np.exp(theta[..., :_COEFFICIENTS] - powers @ centre[:, :-1].T)
        return np.concatenate([coefficients, powers, np.exp(bounded(theta[..., -1:]))], axis=-1)

    @staticmethod
    def internal(natural: Array, centre: Array) -> Array:
        """Logs of the coefficients at the centre, and of R_D; exponents as they are."""
        powers = natural[..., _COEFFICIENTS:-1]
        with np.errstate(divide="ignore"):
            coefficients = np.log(natural[..., :_COEFFICIENTS]) + powers @ centre[:, :-1].T
        return np.concatenate([coefficients, powers, np.log(natural[..., -1:])], axis=-1)

    @classmethod
    def told_apart(cls, inputs: Array, fixed: Collection[str]) -> dict[str, Array]:
        """What the runs must differ in, for the parts that are not held."""
        size, tokens, unique, sites, noise = inputs.T
        told = {
            "alpha": ("N", size),
            "beta": ("D", tokens),
            "R_D": ("repeats D / U - 1", np.maximum(tokens / unique - 1, 0.0)),
            "kappa": ("M", sites),
            "C": ("S", noise),
        }
        return dict(value for parameter, value in told.items() if parameter not in fixed)
