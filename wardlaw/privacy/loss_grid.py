"""Privacy losses on a grid, and what they say of delta and epsilon."""

import math
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class LossGrid:
    """Distribution of the privacy loss log(P / Q) under P, for two neighbours P and Q.

    Attributes
    ----------
    interval : float
        Between two losses.
    lowest : float
        Loss of the first point.
    probabilities : (n,) float64
    infinite : float
        Probability of an infinite loss, and of the losses that count as one.
    """

    interval: float
    lowest: float
    probabilities: Array
    infinite: float

    @property
    def width(self) -> float:
        """From the lowest loss to the highest."""
        return self.interval * (len(self.probabilities) - 1)

    @property
    def mean(self) -> float:
        """Of the finite losses."""
        places = np.arange(len(self.probabilities))
        return self.loss(sum_of_products(self.probabilities, places) / float(self.probabilities.sum()))

    @property
    def variance(self) -> float:
        """Of the finite losses."""
        squares = self.from_mean() ** 2
        return sum_of_products(self.probabilities, squares) / float(self.probabilities.sum())

    def from_mean(self) -> Array:
        """Each loss less the mean, (n,)."""
        places: Array = np.arange(len(self.probabilities), dtype=np.float64)
        return self.interval * places + (self.lowest - self.mean)

    def loss(self, place: float) -> float:
        """Loss of a point."""
        return self.lowest + self.interval * place

    def delta(self, epsilon: float) -> float:
        """P(S) - e^epsilon Q(S) for the worst set S of outcomes."""
        first = max(0, math.floor((epsilon - self.lowest) / self.interval) + 1)
        rest = self.probabilities[first:]
        above = self.loss(first) - epsilon + self.interval * np.arange(len(rest))
        return self.infinite + sum_of_products(rest, -np.expm1(-above))

    def epsilon(self, delta: float) -> float:
        """Smallest epsilon, 0 or more, at which ``delta`` is not exceeded."""
        if self.delta(0.0) <= delta:
            return 0.0
        if self.infinite >= delta:
            return math.inf
        gains = -np.expm1(-self.interval * np.arange(len(self.probabilities)))

        def delta_at(place: int) -> float:
            rest = self.probabilities[place:]
            return self.infinite + sum_of_products(rest, gains[: len(rest)])

        place = bisect_left(range(len(gains)), -delta, key=lambda place: -delta_at(place))
        # Between this point and the one below, delta is upper - e^(epsilon - loss) lower.
        rest = self.probabilities[place:]
        upper = self.infinite + float(rest.sum())
        lower = sum_of_products(rest, 1 - gains[: len(rest)])
        return max(0.0, self.loss(place) + math.log((upper - delta) / lower))


def sum_of_products(left: Array, right: npt.NDArray[np.float64 | np.int64]) -> float:
    """Product of two vectors without BLAS, whose threads wait for one another on a busy machine."""
    return float((left * right).sum())
