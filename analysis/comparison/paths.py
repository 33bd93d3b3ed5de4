"""Ways up through a law's inputs: one input with the others held, or the compute-optimal frontier."""

from collections.abc import Callable, Mapping

import numpy as np

from analysis.arrays import Array
from analysis.comparison.inversion import lowest_between
from analysis.laws.law import ScalingLaw

Path = Callable[[Array], Array]
"""Logs of one quantity (R, m) to the law's inputs (R, m, K)."""

# Reach of the frontier's knots beyond the runs, and of the search for N about the square root of C / 6.
_BEYOND, _KNOTS, _SPAN = 25.0, 17, 15.0


def held_path(law: ScalingLaw, letter: str, held: Mapping[str, float]) -> Path:
    """One input moves, the others stay where they are held."""

    def inputs(logs: Array) -> Array:
        columns = [np.exp(logs) if name == letter else np.full_like(logs, held[name]) for name in law.inputs]
        return np.stack(columns, axis=-1)

    return inputs


def frontier_path(law: ScalingLaw, theta: Array, low: float, high: float, held: Mapping[str, float]) -> Path:
    """The N and D = C / (6 N) of lowest loss at each compute C (arXiv 2203.15556, equation 1).

    N*(C) is found by golden section at knots over the runs and far beyond, and drawn straight between
    them in the logs, which is exact where N* is a power of C. As the loss is flat about its minimum, it is
    right to second order elsewhere.

    Parameters
    ----------
    law : ScalingLaw
        With N and D among its inputs.
    theta : ndarray (R, P)
    low, high : float
        Compute of the runs, FLOPs.
    held : dict of str to float
        The law's other inputs.
    """
    knots = np.linspace(np.log(low) - _BEYOND, np.log(high) + _BEYOND, _KNOTS)
    compute = np.tile(knots, (len(theta), 1))

    def split(log_size: Array, log_compute: Array) -> Array:
        logs = {"N": log_size, "D": log_compute - np.log(6) - log_size}
        columns = [
            np.exp(logs[name]) if name in logs else np.full_like(log_size, held[name]) for name in law.inputs
        ]
        return np.stack(columns, axis=-1)

    middle = 0.5 * (compute - np.log(6))
    best = lowest_between(
        lambda log_size: law.predict_each(split(log_size, compute), theta), middle - _SPAN, middle + _SPAN
    )

    def inputs(logs: Array) -> Array:
        place = (logs - knots[0]) / (knots[1] - knots[0])
        below = np.clip(np.floor(np.nan_to_num(place)), 0, _KNOTS - 2).astype(np.int64)
        lower, upper = (np.take_along_axis(best, below + step, axis=1) for step in (0, 1))
        return split(lower + (place - below) * (upper - lower), logs)

    return inputs
