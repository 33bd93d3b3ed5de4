"""The objective of many Huber regressions around their present parameters, in blocks that fit a cache."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.arrays import Array

Curve = Callable[[Array], tuple[Array, Array]]
"""Parameters (B, P) to predicted log losses (B, n) and their Jacobian (B, n, P)."""

# Numbers of a block's Jacobian: half a MiB.
_BLOCK = 1 << 16
_THREADS = min(4, os.cpu_count() or 1)
# A start is far from any minimum where its middle residual is so many thresholds; it begins with a
# threshold of so many middle residuals. Wider, one outlier could draw every start away. The middle is the
# power mean of order 1/2, as deaf to outliers as the median here and cheaper.
_FAR = 10.0


class LocalModel(NamedTuple):
    """Second-order models of the objective, a row each.

    Attributes
    ----------
    objective : ndarray (B,)
        Infinite where the law is not defined.
    gradient : ndarray (B, P)
    newton, reweighted : ndarray (B, P, P)
        Hessians: of the runs inside the threshold (Gauss-Newton), and of iteratively reweighted least
        squares, which is never too small.
    threshold : ndarray (B,)
        Of Huber's loss here.
    """

    objective: Array
    gradient: Array
    newton: Array
    reweighted: Array
    threshold: Array

    def at(self, rows: NDArray[np.intp]) -> "LocalModel":
        """The models of some rows."""
        return LocalModel(*(part[rows] for part in self))

    def put(self, rows: NDArray[np.intp], models: "LocalModel") -> None:
        """Replace the models of some rows."""
        for mine, new in zip(self, models, strict=True):
            mine[rows] = new


def huber(residual: Array, delta: float | Array) -> Array:
    """Huber's loss: r^2 / 2 up to ``delta``, delta (|r| - delta / 2) beyond (Huber 1964)."""
    inside = np.clip(residual, -delta, delta)
    loss: Array = inside * (residual - 0.5 * inside)
    return loss


@dataclass(frozen=True)
class Regressions:
    """Regressions that share their inputs.

    Attributes
    ----------
    curve : callable
        The law at those inputs.
    target, weight : ndarray (B, n)
    delta : float
        Threshold of Huber's loss.
    free : ndarray (P,) of bool
        Parameters that the models are about.
    """

    curve: Curve
    target: Array
    weight: Array
    delta: float
    free: NDArray[np.bool_]

    def models(
        self, theta: Array, rows: NDArray[np.intp], threshold: Array, ceiling: Array
    ) -> tuple[Array, LocalModel]:
        """Objectives at the present thresholds, and the models at the next ones.

        Far from its minimum a row has all its runs outside ``delta``, where the objective bends nowhere
        and Newton's method crawls. So its threshold comes down from multiples of the middle residual
        (a graduated Huber loss), at most ``ceiling``, to ``delta``.

        Parameters
        ----------
        theta : ndarray (R, P)
        rows : ndarray (R,) of int
            Which regressions these parameters are of.
        threshold, ceiling : ndarray (R,)
        """
        size = max(1, _BLOCK // max(1, self.target.shape[1] * theta.shape[1]))
        blocks = [slice(start, start + size) for start in range(0, max(len(rows), 1), size)]

        def block(part: slice) -> tuple[Array, LocalModel]:
            return self._block(theta[part], rows[part], threshold[part], ceiling[part])

        if len(blocks) == 1:
            return block(blocks[0])
        # Blocks do not depend on the number of threads, and so neither does any result.
        with ThreadPoolExecutor(min(_THREADS, len(blocks))) as threads:
            reached, models = zip(*threads.map(block, blocks), strict=True)
        return np.concatenate(reached), LocalModel(*map(np.concatenate, zip(*models, strict=True)))

    # Parameters of a trial may leave what a float holds: the trial is refused, and that is no news.
    @np.errstate(over="ignore", divide="ignore", invalid="ignore")
    def _block(
        self, theta: Array, rows: NDArray[np.intp], threshold: Array, ceiling: Array
    ) -> tuple[Array, LocalModel]:
        weight = self.weight[rows]
        prediction, jacobian = self.curve(theta)
        residual = prediction - self.target[rows]
        size = np.abs(residual)
        following = self._following(size, threshold, ceiling)
        limit = following[:, None]
        # Weight that gives least squares the slope of Huber's loss.
        share = np.minimum(1.0, limit / size)
        clipped = share * residual
        share *= weight
        pull = weight * clipped
        across = jacobian.transpose(0, 2, 1)
        across = across if self.free.all() else across[:, self.free]
        along = across.transpose(0, 2, 1)
        models = LocalModel(
            objective=np.einsum("bn,bn->b", pull, residual - 0.5 * clipped),
            gradient=(across @ pull[..., None])[..., 0],
            newton=(across * (weight * (size <= limit))[:, None]) @ along,
            reweighted=(across * share[:, None]) @ along,
            threshold=following,
        )
        reached = models.objective.copy()
        if len(moved := np.flatnonzero(following != threshold)):
            losses = huber(residual[moved], threshold[moved, None])
            reached[moved] = np.einsum("bn,bn->b", weight[moved], losses)
        defined = np.isfinite(models.objective) & np.isfinite(models.reweighted).all((-1, -2))
        models.objective[~defined] = reached[~defined] = np.inf
        return reached, models

    def _following(self, size: Array, threshold: Array, ceiling: Array) -> Array:
        """The next thresholds, for absolute residuals (R, n)."""
        graduated = np.flatnonzero(threshold > self.delta)
        following = threshold.copy()
        if len(graduated):
            middle = np.sqrt(size[graduated]).mean(-1) ** 2
            wide = np.fmax(self.delta, np.fmin(ceiling[graduated], _FAR * middle))
            begun = np.isfinite(threshold[graduated])
            following[graduated] = np.where(begun | (middle > _FAR * self.delta), wide, self.delta)
        return following
