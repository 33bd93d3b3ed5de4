"""The best size and number of steps for private training at a compute budget."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis.arrays import Array
from analysis.laws.private_table import PrivateTable
from wardlaw.errors import RecordError

NoiseRatio = Callable[[Array, Array], Array]
"""Batch in tokens (m,) and steps (m,) to the noise-batch ratio (m,) that a privacy budget asks for."""

_NEAR = 0.01
_CANDIDATES = 60


@dataclass(frozen=True)
class PrivateOptimum:
    """Where the table's loss is lowest at a compute budget.

    Attributes
    ----------
    size, steps, batch_tokens, noise : float
        N, T, the tokens of a batch C / (6 N T), and S there.
    loss : float
        In nats.
    smallest_size : float
        The smallest size within 1 % of that loss: the optimum is flat, and small models are cheap to use.
    warnings : tuple of str
        Where the optimum rests on a fitted tail or on the edge of the table.
    """

    size: float
    steps: float
    batch_tokens: float
    noise: float
    loss: float
    smallest_size: float
    warnings: tuple[str, ...]


def private_optimum(
    table: PrivateTable, compute: float, noise_ratio: NoiseRatio, sizes: ArrayLike | None = None
) -> PrivateOptimum:
    """Minimise the loss over N and T at C = 6 N B T, with S as the privacy budget makes it.

    Every combination of the sizes with 60 numbers of steps (a geometric grid over the table) that the
    table covers is compared: its surface is piecewise linear, and one look at all of it cannot end in a
    local minimum.

    Parameters
    ----------
    table : PrivateTable
        Fitted.
    compute : float
        C in FLOPs.
    noise_ratio : callable
        S(B, T); the accountant's answer for one privacy budget and data set.
    sizes : array-like, optional
        Sizes to choose from; 60 over the table's if None.

    Raises
    ------
    RecordError
        If the table covers no combination.
    """
    low, high = table.grid_["N"][[0, -1]]
    candidates = (
        np.geomspace(low, high, _CANDIDATES) if sizes is None else np.asarray(sizes, dtype=np.float64)
    )
    first, last = table.grid_["T"][[0, -1]]
    grid = np.meshgrid(candidates, np.geomspace(first, last, _CANDIDATES), indexing="ij")
    size, steps = (values.ravel() for values in grid)
    batch = compute / (6.0 * size * steps)
    noise = noise_ratio(batch, steps)
    within = table.inside(size, steps, noise)
    covered = within["N"] & within["T"] & within["S"]
    if not covered.any():
        raise RecordError(
            f"the table covers no size and number of steps at {compute:.3g} FLOPs",
            remedy=f"Its noise-batch ratios end at {table.grid_['S'][-1]:.3g}; the lowest asked for is "
            f"{noise.min():.3g}",
        )
    size, steps, batch, noise = (values[covered] for values in (size, steps, batch, noise))
    read = table.predict(size, steps, noise)
    best = int(np.argmin(read.loss))
    near = read.loss <= read.loss[best] * (1 + _NEAR)
    return PrivateOptimum(
        size=float(size[best]),
        steps=float(steps[best]),
        batch_tokens=float(batch[best]),
        noise=float(noise[best]),
        loss=float(read.loss[best]),
        smallest_size=float(size[near].min()),
        warnings=_warnings(table, size[best], steps[best], extrapolated=bool(read.extrapolated[best])),
    )


def _warnings(table: PrivateTable, size: float, steps: float, *, extrapolated: bool) -> tuple[str, ...]:
    found = []
    if size in table.grid_["N"][[0, -1]]:
        found.append(f"the best size, {size:.3g}, is at the edge of the table: better ones may lie beyond")
    if extrapolated:
        times = steps / table.last_step_
        found.append(
            f"the best number of steps is {times:.3g} times the last measured: read from fitted tails"
        )
    return tuple(found)
