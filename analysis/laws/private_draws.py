"""The private law of both noises of a step: what privacy adds, and who is drawn."""

from collections.abc import Collection
from typing import ClassVar

import numpy as np

from analysis.arrays import Array
from analysis.laws.noise import log_ratio
from analysis.laws.private_sigmoid import NOISE, SigmoidLaw, mean_noise, sigmoid_curve

_PATIENTS = 4
# Log of the noise of a draw of the mean number of patients, less the mean log S of private runs.
_DRAWS = (-2.0, 0.0)


class PrivateDraws(SigmoidLaw):
    """L(N, T, S, P) = E + A / N^alpha + B / T^beta + C s / N^gamma2, s = 1 / (1 + (S0 / S_e)^gamma1).

    S_e = sqrt(S^2 + c^2 / P) is the noise on the mean gradient of a step that draws P patients. A
    patient's gradient has at most the clipping norm, which is the unit. Privacy's noise is S in each of N
    coordinates; the mean over P patients misses that over all of them by 1 / sqrt(P) at most in norm. Spread
    evenly, as privacy's is, that were 1 / sqrt(N P) in each coordinate; it lies where gradients are, and
    there does more harm. So c is fitted: the S that would do the harm of a draw of one patient. Two
    independent noises add in squares.

    Without privacy S_e is c / sqrt(P) and not 0: a larger batch has the lower loss, **and pays the larger
    price** for the same S. Laws of S alone (``Private``) hold at the batch of their runs. The budget is the
    number of steps T, as in McKenna et al. 2025, whose runs have one batch: what more patients a step are
    worth is the noise that they take away.

    S and P are those of one step: both of a replica, as records of runs have them, or both of the mean
    over replicas (columns ``averaged_ratio`` and ``step_patients``), whose S_e is smaller by the root of
    their number. A draw of nearly all patients, which misses less, is not told from one of many.

    Free parameters: E, A, B, C > 0 in nats, S0 > 0, c > 0, gamma1 > 0, other exponents unbounded. c = 0 is
    ``PrivateSigmoid`` in steps. Runs of one batch cannot tell c.
    """

    name = "private-draws"
    formula = (
        "L(N, T, S, P) = E + A / N^alpha + B / T^beta + C s / N^gamma2, s = 1 / (1 + (S0 / S_e)^gamma1), "
        "S_e = sqrt(S^2 + c^2 / P)"
    )
    source = "this project; the sigmoid of McKenna et al. 2025, arXiv 2501.18914, appendix E"
    inputs = ("N", "T", "S", "P")
    parameters = ("E", "A", "B", "C", "alpha", "beta", "gamma1", "gamma2", "S0", "c")
    without_exponent: ClassVar = frozenset({"P"})

    @staticmethod
    def features(inputs: Array) -> Array:
        """Minus log N, minus log T, minus log N, log S, log P."""
        size, steps, noise, patients = inputs.T
        return np.stack(
            [-np.log(size), -np.log(steps), -np.log(size), log_ratio(noise), np.log(patients)], axis=1
        )

    @staticmethod
    def curve(features: Array, theta: Array) -> tuple[Array, Array]:
        """As ``sigmoid_curve`` gives at log S_e, theta with log c at the centre behind its nine."""
        drawn = 2 * theta[:, [9]] - features[:, _PATIENTS]
        squared = np.logaddexp(2 * features[:, NOISE], drawn)
        prediction, jacobian, by_noise = sigmoid_curve(features, squared / 2, theta[:, :9])
        by_draw = by_noise * np.exp(drawn - squared)
        return prediction, np.concatenate([jacobian, by_draw[..., None]], axis=-1)

    @classmethod
    def start_grid(cls, features: Array, target: Array) -> Array:
        """That of the sigmoid with draws of little noise, and of as much as privacy's."""
        grid = super().start_grid(features, target)
        middle = mean_noise(features)
        return np.concatenate([np.column_stack([grid, np.full(len(grid), middle + one)]) for one in _DRAWS])

    @classmethod
    def natural(cls, theta: Array, centre: Array) -> Array:
        """Those of the sigmoid, and c from its log at the centre."""
        with np.errstate(over="ignore"):
            drawn = np.exp(theta[..., 9:] + _shift(centre))
        return np.concatenate([super().natural(theta[..., :9], centre), drawn], axis=-1)

    @classmethod
    def internal(cls, natural: Array, centre: Array) -> Array:
        """The inverse."""
        with np.errstate(divide="ignore", invalid="ignore"):
            drawn = np.log(natural[..., 9:]) - _shift(centre)
        return np.concatenate([super().internal(natural[..., :9], centre), drawn], axis=-1)

    @classmethod
    def told_apart(cls, inputs: Array, fixed: Collection[str]) -> dict[str, Array]:
        """N, T, S and P, where what depends on them is not held."""
        size, steps, noise, patients = inputs.T
        told = {"alpha": ("N", size), "beta": ("T", steps), "C": ("S", noise), "c": ("P", patients)}
        return dict(value for parameter, value in told.items() if parameter not in fixed)


def _shift(centre: Array) -> float:
    """Log of c less that of the noise of a mean draw above the mean log S."""
    return float(centre[NOISE] + centre[_PATIENTS] / 2)
