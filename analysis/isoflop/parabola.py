"""Parabolas through many budgets at once: closed-form least squares, and their minima on a grid."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.arrays import Array


@dataclass(frozen=True)
class Design:
    """The regression of B parabolas on their sizes, the same for every replicate of the losses.

    Attributes
    ----------
    centre, spread : ndarray (B,)
        z = (log N - centre) / spread runs from -1 to 1 over a budget's fitted sizes.
    powers : ndarray (B, n, 3)
        1, z and z^2 of the fitted runs; zero elsewhere.
    solve : ndarray (B, 3, n)
        Pseudo-inverse of ``powers``.
    """

    centre: Array
    spread: Array
    powers: Array
    solve: Array

    @property
    def leverage(self) -> Array:
        """How much of a run's fitted value is its own (B, n): the diagonal of the hat matrix."""
        leverage: Array = np.einsum("bnk,bkn->bn", self.powers, self.solve)
        return leverage

    def fit(self, measured: Array) -> Array:
        """Coefficients (..., B, 3) of the least-squares parabolas of values (..., B, n)."""
        coefficients: Array = (self.solve @ measured[..., None])[..., 0]
        return coefficients

    def at(self, coefficients: Array, log_size: Array) -> Array:
        """Values (..., B, m) at log sizes (B, m)."""
        z = (log_size - self.centre[:, None]) / self.spread[:, None]
        constant, slope, curvature = (coefficients[..., [k]] for k in range(3))
        values: Array = constant + z * (slope + z * curvature)
        return values

    def minimum(self, coefficients: Array, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        """Log size and value (..., B) of the lowest point between two log sizes a budget.

        Where a parabola has no minimum between them, or opens downwards, that is an end.
        """
        constant, slope, curvature = np.moveaxis(coefficients, -1, 0)
        low, high = ((end - self.centre) / self.spread for end in ends)
        with np.errstate(divide="ignore", invalid="ignore"):
            vertex = -slope / (2 * curvature)
        lower_end = np.where(slope + curvature * (low + high) > 0, low, high)
        lowest = np.where(curvature > 0, np.clip(vertex, low, high), lower_end)
        value: Array = constant + lowest * (slope + lowest * curvature)
        return self.centre + self.spread * lowest, value


def design_parabolas(log_size: Array, used: NDArray[np.bool_]) -> Design:
    """Design of the parabolas through the used runs (B, n)."""
    low = np.where(used, log_size, np.inf).min(axis=1)
    high = np.where(used, log_size, -np.inf).max(axis=1)
    centre, spread = 0.5 * (low + high), np.where(high > low, 0.5 * (high - low), 1.0)
    z = (log_size - centre[:, None]) / spread[:, None]
    powers = np.where(used[..., None], np.stack([np.ones_like(z), z, z**2], axis=-1), 0.0)
    return Design(centre, spread, powers, np.linalg.pinv(powers))
