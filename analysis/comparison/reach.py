"""What a loss takes in one group: its fitted curve along a path, inverted, and where its runs end."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.arrays import Array
from analysis.comparison.inversion import invert_falling
from analysis.comparison.paths import Path, frontier_path, held_path
from analysis.fits.fit import Fit

_ROUNDING = 1e-9


@dataclass(frozen=True)
class Reach:
    """A group's curve along one path.

    Attributes
    ----------
    fit : Fit
    theta : ndarray (1 + R, P)
        The solution, then the replicates'.
    path : callable
    low, high : float
        Range of the runs in what moves along the path.
    """

    fit: Fit
    theta: Array
    path: Path
    low: float
    high: float

    def losses(self, logs: Array) -> Array:
        """Losses (1 + R, m) at logs (1 + R, m) of what moves."""
        return self.fit.law.predict_each(self.path(logs), self.theta)

    @property
    def reached(self) -> tuple[float, float]:
        """Losses of the solution's curve at both ends of the runs, the lower first."""
        ends = np.tile(np.log([self.low, self.high]), (len(self.theta), 1))
        low, high = np.sort(self.losses(ends)[0])
        return float(low), float(high)

    def needs(self, levels: Array) -> Array:
        """Logs (1 + R, m) of what losses (m,) take; see ``invert_falling`` for those out of reach."""
        return invert_falling(self.losses, levels, self.low, self.high, len(self.theta))

    def extrapolates(self, logs: Array) -> NDArray[np.bool_]:
        """Whether the solution's inputs at logs (1 + R, m) lie outside the runs: (m,)."""
        with np.errstate(invalid="ignore"):
            inputs = self.path(logs)[0]
        seen = self.fit.sample.inputs
        low, high = seen.min(axis=0) * (1 - _ROUNDING), seen.max(axis=0) * (1 + _ROUNDING)
        within: NDArray[np.bool_] = ((inputs >= low) & (inputs <= high)).all(axis=-1)
        return ~within


def reach(fit: Fit, letter: str, at: Mapping[str, float]) -> Reach:
    """A group's curve in N, D or C with the law's other inputs held ``at`` values.

    C of a law that has N and D and no C is the compute 6 N D of the compute-optimal frontier.
    """
    law, inputs = fit.law, dict(zip(fit.law.inputs, fit.sample.inputs.T, strict=True))
    theta = fit.solutions
    if letter in inputs:
        low, high = float(inputs[letter].min()), float(inputs[letter].max())
        return Reach(fit, theta, held_path(law, letter, at), low, high)
    compute = 6 * inputs["N"] * inputs["D"]
    low, high = float(compute.min()), float(compute.max())
    return Reach(fit, theta, frontier_path(law, theta, low, high, at), low, high)
