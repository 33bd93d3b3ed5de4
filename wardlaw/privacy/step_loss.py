"""Privacy loss of one step of DP-SGD on a grid.

Along a patient's clipped gradient, and in clipping norms, the output x of a step is a mixture: N(1,
sigma^2) with the probability q of being drawn, else N(0, sigma^2); without the patient it is N(0, sigma^2)
(Mironov et al., arXiv 1908.10530, theorem 4). The loss log(1 - q + q e^((2 x - 1) / (2 sigma^2))) grows
with x, so that an interval of losses is one of outputs.
"""

import math

import numpy as np
from scipy import special

from wardlaw.privacy.loss_grid import Array, Flags, LossGrid


def step_losses(
    sampling_rate: float, noise_multiplier: float, *, interval: float, cut: float
) -> tuple[LossGrid, LossGrid]:
    """Losses where a patient is removed (P with him, Q without), and where he is added.

    The probability of a cell is shared out between its ends so that P and Q both keep theirs: of all
    roundings that never tell too little the closest (Doroshenko et al., "Connect the Dots", arXiv
    2207.04380, algorithm 1). One point of the grid is the loss of the output 0, near which most losses lie
    if patients are seldom drawn: there hardly anything is rounded that many steps would add up.

    Parameters
    ----------
    sampling_rate : float
        q in (0, 1].
    noise_multiplier : float
        sigma.
    interval : float
        Between two points of the grid.
    cut : float
        Probability that may be cut off at either end. High losses that were cut off count as infinite.
    """
    rate, noise = sampling_rate, noise_multiplier
    losses = _points(rate, noise, interval, cut)
    outputs = 0.5 + noise**2 * _unsampled(losses, rate)
    absent, present = outputs / noise, (outputs - 1) / noise
    above = outputs[:-1] > 0
    without = _cells(absent, above)
    within = (1 - rate) * without + rate * _cells(present, above)
    scale = -math.expm1(-interval)

    upper = np.clip((within - _raised(losses, absent, without, above)) / scale, 0, within)
    lowest = (1 - rate) * special.ndtr(absent[0]) + rate * special.ndtr(present[0])
    highest = (1 - rate) * special.ndtr(-absent[-1]) + rate * special.ndtr(-present[-1])
    removal = LossGrid(interval, float(losses[0]), _shared(within - upper, upper, lowest), float(highest))
    if rate == 1:
        # Two normal distributions of one width are each other's mirror image.
        return removal, removal
    upper = np.clip((without - np.exp(-losses[1:]) * within) / scale, 0, without)
    mirrored = _shared((without - upper)[::-1], upper[::-1], special.ndtr(-absent[-1]))
    return removal, LossGrid(interval, float(-losses[-1]), mirrored, float(special.ndtr(absent[0])))


def reach(sampling_rate: float, noise_multiplier: float, cut: float) -> tuple[float, float]:
    """Lowest and highest loss of a removal, but for a probability ``cut`` at either end."""
    width = -noise_multiplier * float(special.ndtri(cut / 2))
    drawn = 1 - noise_multiplier * float(special.ndtri(min(cut / (2 * sampling_rate), 0.5)))
    return (
        _loss(-width, sampling_rate, noise_multiplier),
        _loss(max(width, drawn), sampling_rate, noise_multiplier),
    )


def _points(rate: float, noise: float, interval: float, cut: float) -> Array:
    """Losses of the grid, ascending."""
    usual = _loss(0.0, rate, noise)
    lowest, highest = reach(rate, noise, cut)
    first, last = math.floor((lowest - usual) / interval), math.ceil((highest - usual) / interval)
    return usual + interval * np.arange(first, last + 1, dtype=np.float64)


def _loss(output: float, rate: float, noise: float) -> float:
    drawn = math.log(rate) + (output - 0.5) / noise**2
    return float(np.logaddexp(drawn, math.log1p(-rate))) if rate < 1 else drawn


def _unsampled(losses: Array, rate: float) -> Array:
    """Loss of the Gaussian mechanism that sampling turns into ``losses``: log(1 + (e^loss - 1) / q).

    Minus infinity for losses below log(1 - q), which no output has.
    """
    with np.errstate(over="ignore", divide="ignore"):
        small = np.log1p(np.maximum(np.expm1(losses) / rate, -1))
        large = losses - math.log(rate) + np.log1p((rate - 1) * np.exp(-np.abs(losses)))
    return np.where(losses > 1, large, small)


def _cells(edges: Array, above: Flags) -> Array:
    """Standard normal probability between each two edges, by the tail in which it is exact."""
    below, beyond = special.ndtr(edges), special.ndtr(-edges)
    cells: Array = np.where(above, beyond[:-1] - beyond[1:], below[1:] - below[:-1])
    return cells


def _raised(losses: Array, edges: Array, without: Array, above: Flags) -> Array:
    """Probability of each cell without the patient, times e^loss of its lower end.

    Far above neither factor is a float by itself.
    """
    tails = special.log_ndtr(-edges)
    far = np.exp(losses[:-1] + tails[:-1]) - np.exp(losses[:-1] + tails[1:])
    raised: Array = np.where(above, far, np.exp(np.minimum(losses[:-1], 0)) * without)
    return raised


def _shared(lower: Array, upper: Array, lowest: float) -> Array:
    """Probability of each point: what the cells give to their ends, and what lies below the first."""
    points: Array = np.append(lower, 0.0) + np.append(0.0, upper)
    points[0] += lowest
    return points
