"""The semi-parametric law of private training: measured curves made monotone, and interpolated.

McKenna et al. 2025 (arXiv 2501.18914): no formula was good enough for the S-shaped response to
noise, so the law is the table itself, smoothed by what must hold: more steps do not hurt, more noise does
not help.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import RegularGridInterpolator
from scipy.optimize import isotonic_regression

from analysis.arrays import Array
from analysis.laws.full_grid import AXES, full_grid
from analysis.laws.power_law import PowerLaw
from wardlaw.errors import RecordError

# The paper's tail: 16,000 to 128,000 steps, the last eighth of its curves.
_TAIL = 8.0
_TAIL_POINTS = 8
_BEYOND_POINTS = 64


@dataclass(frozen=True)
class TableLoss:
    """Losses read from the table.

    Attributes
    ----------
    loss : ndarray (m,)
        In nats.
    extrapolated : ndarray (m,) of bool
        Whether the point lies beyond the last measured step, on the fitted tails.
    warnings : tuple of str
    """

    loss: Array
    extrapolated: NDArray[np.bool_]
    warnings: tuple[str, ...]


class PrivateTable:
    """Loss of private training at a size, a number of steps and a noise-batch ratio.

    Each curve over steps is averaged over a rolling window, whose steps are averaged likewise (in the log,
    so that a power law is not delayed by it), and continued by E + A / T^alpha fitted to its last eighth.
    Then it is made to fall in T, and the loss at each N and T to rise in S, by isotonic regression: this
    keeps the first order, since isotonic regression preserves the order of its inputs. Between the points
    the loss is linear in (log N, log T, log S). The paper makes the curves monotone first and continues them
    afterwards; the other way round, tails cannot cross either.

    S = 0 has its place on the log axis one step of the grid (the ratio between the two smallest positive S)
    below the smallest positive S; a positive ratio below that place counts as none.

    Parameters
    ----------
    window : int
        Logged losses in a rolling mean.
    reach : float
        How many times the last measured step the tails are trusted for; above 1.

    Attributes
    ----------
    grid_ : dict of str to ndarray
        Sizes N, steps T (after averaging, up to the reach) and ratios S of the table.
    last_step_ : float
        Last measured step, after averaging.
    loss_ : ndarray (N, T, S)
        Monotone losses on the grid.
    moved_ : float
        Largest relative change that monotonicity asked of a measured loss.
    """

    def __init__(self, *, window: int = 10, reach: float = 10.0) -> None:
        self.window, self.reach = window, reach

    def fit(self, size: ArrayLike, steps: ArrayLike, noise: ArrayLike, loss: ArrayLike) -> Self:
        """Take the table of all runs' curves.

        Parameters
        ----------
        size, steps, noise, loss : array-like (n,)
            A row a logged loss; every size with every ratio, logged at the same steps.

        Raises
        ------
        RecordError
            If values are not positive numbers (S may be 0), the grid has holes, or it is too small.
        """
        axes, cube = full_grid(
            *(np.asarray(column, dtype=np.float64) for column in (size, steps, noise, loss))
        )
        if len(axes["T"]) < self.window + _TAIL_POINTS:
            raise RecordError(
                f"{len(axes['T'])} steps a curve are too few for a rolling mean of {self.window} and a tail",
                where="T",
                remedy=f"Log at least {self.window + _TAIL_POINTS} losses a run, or take a smaller window",
            )
        steps = np.exp(_rolling_mean(np.log(axes["T"]), self.window))
        cube = _rolling_mean(np.moveaxis(cube, 1, -1), self.window)
        beyond = np.geomspace(steps[-1], steps[-1] * self.reach, _BEYOND_POINTS + 1)[1:]
        tails = np.apply_along_axis(partial(_tail, steps, beyond), -1, cube)
        falling = _isotonic(np.concatenate([cube, tails], axis=-1), axis=-1, increasing=False)
        monotone = _isotonic(np.moveaxis(falling, -1, 1), axis=-1, increasing=True)
        self.grid_ = {"N": axes["N"], "T": np.concatenate([steps, beyond]), "S": axes["S"]}
        self.last_step_ = float(steps[-1])
        self.loss_ = monotone
        measured = np.moveaxis(cube, -1, 1)
        self.moved_ = float(np.abs(monotone[:, : len(steps)] / measured - 1).max())
        self._no_noise = _place_of_no_noise(axes["S"])
        self._interpolated = RegularGridInterpolator(
            (np.log(axes["N"]), np.log(self.grid_["T"]), self._log_noise(axes["S"])), monotone
        )
        return self

    def inside(self, size: ArrayLike, steps: ArrayLike, noise: ArrayLike) -> Mapping[str, NDArray[np.bool_]]:
        """For each of N, T and S, which of the points the table covers."""
        points = dict(zip(AXES, (size, steps, noise), strict=True))
        return {
            name: (self.grid_[name][0] <= np.asarray(values)) & (np.asarray(values) <= self.grid_[name][-1])
            for name, values in points.items()
        }

    def predict(self, size: ArrayLike, steps: ArrayLike, noise: ArrayLike) -> TableLoss:
        """Losses at points.

        Parameters
        ----------
        size, steps, noise : array-like, broadcast to (m,)

        Raises
        ------
        RecordError
            If a point lies outside the table, naming the first that does.
        """
        points = [np.asarray(values, dtype=np.float64) for values in (size, steps, noise)]
        n, t, s = np.broadcast_arrays(*map(np.atleast_1d, points))
        for name, within in self.inside(n, t, s).items():
            if not within.all():
                values = dict(zip(AXES, (n, t, s), strict=True))[name]
                low, high = self.grid_[name][[0, -1]]
                raise RecordError(
                    f"{name} = {values[~within][0]:g} lies outside the {AXES[name]} of the table, "
                    f"{low:g} to {high:g}" + (" (with its tails)" if name == "T" else ""),
                    where=name,
                    remedy="Ask for a point inside, or measure there",
                )
        beyond = t > self.last_step_
        loss = self._interpolated(np.stack([np.log(n), np.log(t), self._log_noise(s)], axis=-1))
        warnings = (
            f"{int(beyond.sum())} of {t.size} points lie beyond the last measured step "
            f"({self.last_step_:.4g}), at most {t.max() / self.last_step_:.3g} times: read from fitted tails",
        )
        return TableLoss(loss, beyond, warnings if beyond.any() else ())

    def summary(self) -> Mapping[str, Any]:
        """What the table holds and how it was made."""
        measured = self.grid_["T"] <= self.last_step_
        return {
            "law": "private-table",
            "source": "McKenna et al. 2025, arXiv 2501.18914",
            "sizes": self.grid_["N"].tolist(),
            "noise": self.grid_["S"].tolist(),
            "steps": [float(self.grid_["T"][0]), self.last_step_, int(measured.sum())],
            "window": self.window,
            "reach": self.reach,
            "largest_change_for_monotonicity": self.moved_,
        }

    def _log_noise(self, noise: Array) -> Array:
        return np.log(np.maximum(noise, self._no_noise))


def _rolling_mean(values: Array, window: int) -> Array:
    mean: Array = np.lib.stride_tricks.sliding_window_view(values, window, axis=-1).mean(axis=-1)
    return mean


def _tail(steps: Array, beyond: Array, curve: Array) -> Array:
    """A curve (T,) continued at later steps."""
    last = max(_TAIL_POINTS, int((steps >= steps[-1] / _TAIL).sum()))
    return PowerLaw().fit_projected(steps[-last:], curve[-last:]).predict(beyond)


def _isotonic(values: Array, axis: int, *, increasing: bool) -> Array:
    return np.apply_along_axis(lambda row: isotonic_regression(row, increasing=increasing).x, axis, values)


def _place_of_no_noise(noise: Array) -> float:
    """Ratio whose place on the log axis S = 0 takes."""
    positive = noise[noise > 0]
    if noise[0] > 0:
        return float(positive[0])
    step = positive[1] / positive[0] if len(positive) > 1 else 2.0
    return float(positive[0] / step)
