"""The private law with a sigmoid of any centre and slope, and what laws of its shape share."""

from collections.abc import Collection
from itertools import product

import numpy as np

from analysis.arrays import Array
from analysis.laws.law import ScalingLaw
from analysis.laws.noise import FULL_NOISE, log_ratio, noisy_runs

SIZE, BUDGET, HARMED_SIZE, NOISE = range(4)
"""Features: minus log N and minus log of the budget of their own terms, minus log N of noise's, log S."""

_EXPONENTS = (0.15, 0.5)
_SLOPES = (0.7, 2.0)
_SHARES = (
    (0.7, 0.1, 0.1, 0.1),
    (0.4, 0.2, 0.2, 0.2),
    (0.4, 0.1, 0.1, 0.4),
    (0.1, 0.4, 0.4, 0.1),
)


def sigmoid_curve(features: Array, noise: Array, theta: Array) -> tuple[Array, Array, Array]:
    """Log of E + A / N^alpha + B / X^beta + C s / N^gamma2, s = sigmoid(gamma1 (log S - log S0)).

    Parameters
    ----------
    features : ndarray (n, 3 or more)
        Centred.
    noise : ndarray (n,) or (B, n)
        log S above its centre.
    theta : ndarray (B, 9)
        Logs of E, A, B at the centre and of what noise adds there, alpha, beta, log gamma1, gamma2,
        log S0 above the centre.

    Returns
    -------
    prediction : ndarray (B, n)
    jacobian : ndarray (B, n, 9)
    by_noise : ndarray (B, n)
        Derivative in ``noise``.
    """
    coefficients = theta[:, :4]
    alpha, beta, log_slope, gamma2, middle = (theta[:, [place]] for place in range(4, 9))
    slope = np.exp(log_slope)
    above, reference = slope * (noise - middle), -slope * middle
    terms = np.repeat(coefficients[:, None], len(features), axis=1)
    terms[..., 1] += alpha * features[:, SIZE]
    terms[..., 2] += beta * features[:, BUDGET]
    terms[..., 3] += gamma2 * features[:, HARMED_SIZE]
    terms[..., 3] += np.logaddexp(0.0, -reference) - np.logaddexp(0.0, -above)
    prediction = np.logaddexp.reduce(terms, axis=-1)
    shares = np.exp(terms - prediction[..., None])
    # 1 - s, here and at the centre.
    left, left_there = np.exp(-np.logaddexp(0.0, above)), np.exp(-np.logaddexp(0.0, reference))
    harm = shares[..., 3]
    slopes = (
        shares[..., 1] * features[:, SIZE],
        shares[..., 2] * features[:, BUDGET],
        harm * (above * left - reference * left_there),
        harm * features[:, HARMED_SIZE],
        harm * slope * (left_there - left),
    )
    jacobian = np.concatenate([shares, np.stack(slopes, axis=-1)], axis=-1)
    return prediction, jacobian, harm * slope * left


class SigmoidLaw(ScalingLaw):
    """A law whose first nine parameters are those of ``sigmoid_curve``.

    The solver sees logs of what is positive. The coefficient of noise is that at the mean log S of the runs
    with noise: where all of these lie far below S0, C and S0 are hardly told apart, and that is.
    """

    may_be_zero = frozenset({"S"})
    exponents = ("alpha", "beta", "gamma1", "gamma2")
    bounds = "coefficients, S0 and gamma1 positive, the other exponents unbounded"

    @classmethod
    def centre(cls, features: Array, fixed: Collection[str] = ()) -> Array:
        """Mean features of the runs with noise; neutral ones for terms whose coefficient is fixed."""
        centre: Array = features[noisy_runs(features[:, NOISE])].mean(axis=0)
        for name, places in {"A": [SIZE], "B": [BUDGET], "C": [HARMED_SIZE, NOISE]}.items():
            if name in fixed:
                centre[places] = 0.0
        if "C" in fixed:
            # There s is 1, so that the coefficient is C itself.
            centre[NOISE] = FULL_NOISE
        return centre

    @staticmethod
    def natural(theta: Array, centre: Array) -> Array:
        """Coefficients away from the centre, and exponentials."""
        exponents = theta[..., 4:8].copy()
        # What a replicate hardly bounds may be beyond any number.
        with np.errstate(over="ignore"):
            exponents[..., 2] = np.exp(exponents[..., 2])
            logs = theta[..., :4] - _shift(exponents, theta[..., 8], centre)
            return np.concatenate([np.exp(logs), exponents, np.exp(theta[..., 8:9] + centre[NOISE])], axis=-1)

    @staticmethod
    def internal(natural: Array, centre: Array) -> Array:
        """The inverse."""
        exponents = natural[..., 4:8].copy()
        with np.errstate(divide="ignore", invalid="ignore"):
            middle = np.log(natural[..., 8:9]) - centre[NOISE]
            logs = np.log(natural[..., :4]) + _shift(exponents, middle[..., 0], centre)
            exponents[..., 2] = np.log(exponents[..., 2])
        return np.concatenate([logs, exponents, middle], axis=-1)

    @staticmethod
    def start_grid(features: Array, target: Array) -> Array:
        """Exponents, slopes and centres of the sigmoid, with the mean target shared out among the terms."""
        level = float(np.log(target).mean())
        return np.array(
            [
                (*(level + np.log(shares)), alpha, beta, np.log(slope), 0.0, middle)
                for alpha, beta, slope in product(_EXPONENTS, _EXPONENTS, _SLOPES)
                for middle in (mean_noise(features), float(features[:, NOISE].max()))
                for shares in _SHARES
            ]
        )


class PrivateSigmoid(SigmoidLaw):
    """L(N, D, S) = E + A / N^alpha + B / D^beta + C s / N^gamma2, s = 1 / (1 + (S0 / S)^gamma1).

    The S-shaped response of McKenna et al. 2025 (``Private``), sigmoid((log S + 8) / 1.6), with the centre
    and the slope that the runs have: theirs are S0 = exp(-8) = 0.000335 and gamma1 = 1 / 1.6, at sizes
    from 5 to 800 million. ``Private`` bends its fixed sigmoid by a power instead, and is the same law where
    that power is 1 (the paper's is 0.95). Far below S0 noise costs C (S / S0)^gamma1 / N^gamma2, far above
    it C / N^gamma2, however much noise there is.

    Free parameters: E, A, B, C > 0 in nats, S0 > 0, gamma1 > 0, other exponents unbounded. Where no run
    is near S0, C and S0 are told together only: their intervals then have no upper end.
    """

    name = "private-sigmoid"
    formula = "L(N, D, S) = E + A / N^alpha + B / D^beta + C s / N^gamma2, s = 1 / (1 + (S0 / S)^gamma1)"
    source = "McKenna et al. 2025, arXiv 2501.18914, appendix E, with a free centre and slope"
    inputs = ("N", "D", "S")
    parameters = ("E", "A", "B", "C", "alpha", "beta", "gamma1", "gamma2", "S0")

    @staticmethod
    def features(inputs: Array) -> Array:
        """Minus log N, minus log D, minus log N, log S."""
        size, tokens, noise = inputs.T
        return np.stack([-np.log(size), -np.log(tokens), -np.log(size), log_ratio(noise)], axis=1)

    @staticmethod
    def curve(features: Array, theta: Array) -> tuple[Array, Array]:
        """As ``sigmoid_curve`` gives."""
        prediction, jacobian, _ = sigmoid_curve(features, features[:, NOISE], theta)
        return prediction, jacobian

    @classmethod
    def told_apart(cls, inputs: Array, fixed: Collection[str]) -> dict[str, Array]:
        """N, D and S, where what depends on them is not held."""
        size, tokens, noise = inputs.T
        told = {"alpha": ("N", size), "beta": ("D", tokens), "C": ("S", noise)}
        return dict(value for parameter, value in told.items() if parameter not in fixed)


def mean_noise(features: Array) -> float:
    """Mean log S of the runs with noise, above its centre."""
    noise = features[:, NOISE]
    return float(noise[noisy_runs(noise)].mean())


def _shift(exponents: Array, middle: Array, centre: Array) -> Array:
    """What the logs of the coefficients are less at the centre than where all features are neutral."""
    shift = np.zeros((*exponents.shape[:-1], 4))
    shift[..., 1] = exponents[..., 0] * centre[SIZE]
    shift[..., 2] = exponents[..., 1] * centre[BUDGET]
    shift[..., 3] = exponents[..., 3] * centre[HARMED_SIZE] - np.logaddexp(0.0, exponents[..., 2] * middle)
    return shift
