"""Many Huber regressions solved at once: every start and every bootstrap replicate is one row.

The objective of row b is sum_i w_bi huber(r_bi), with r the residual of the log loss. It is nearly an
absolute loss at the usual threshold of 1e-3, where general-purpose minimisers stop early: their
tolerances are absolute, and the objective is of order 1e-3 (the published failure: an average instead
of a sum moved the answer). Here every test is relative to the objective itself, so its scale and the
choice of sum or mean cannot matter.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Curve = Callable[[Array], tuple[Array, Array]]
"""Parameters (B, P) to predicted log losses (B, n) and their Jacobian (B, n, P)."""

_RELATIVE_DECREASE = 1e-12
_QUIET_STEPS = 3
_DAMPING = (1e-10, 1e10)
# Residuals of this size are rounding: a noise-free fit ends here.
_ROUNDING = 1e-13
_CHUNK = 4_000_000


@dataclass(frozen=True)
class Minima:
    """One minimum a row.

    Attributes
    ----------
    parameters : ndarray (B, P)
    objective : ndarray (B,)
        Weighted sum of Huber losses.
    gradient_norm : ndarray (B,)
        Largest absolute component of the objective's gradient.
    converged : ndarray (B,) of bool
        Whether no step promised a relative decrease above 1e-12 any more.
    """

    parameters: Array
    objective: Array
    gradient_norm: Array
    converged: NDArray[np.bool_]


def huber(residual: Array, delta: float) -> Array:
    """Huber's loss: r^2 / 2 up to ``delta``, delta (|r| - delta / 2) beyond (Huber 1964)."""
    size = np.abs(residual)
    inside = np.minimum(size, delta)
    return inside * (size - 0.5 * inside)


def minimise_huber(
    curve: Curve,
    starts: Array,
    log_loss: ArrayLike,
    weight: ArrayLike = 1.0,
    *,
    delta: float = 1e-3,
    free: NDArray[np.bool_] | None = None,
    iterations: int = 400,
) -> Minima:
    """Minimise sum_i w_i huber(curve(theta)_i - log_loss_i) from each start.

    A damped Newton iteration: the Hessian of the quadratic zone (Gauss-Newton), plus a damping that
    grows towards iteratively reweighted least squares, whose step always descends. Rows share
    nothing; a finished row leaves the batch.

    Parameters
    ----------
    curve : callable
        The law at fixed inputs; see ``Curve``.
    starts : ndarray (B, P)
    log_loss : array-like, broadcast to (B, n)
    weight : array-like, broadcast to (B, n)
        Counts of a resampled run; any overall factor leaves the answer unchanged.
    delta : float
        Threshold of Huber's loss, in log loss; infinite for least squares.
    free : ndarray (P,) of bool, optional
        Parameters that move; the others keep their values of the start.
    iterations : int
        Most iterations of a row.
    """
    starts = np.asarray(starts, dtype=np.float64)
    shape = (len(starts), curve(starts[:1])[0].shape[-1])
    target = np.broadcast_to(np.asarray(log_loss, dtype=np.float64), shape)
    weights = np.broadcast_to(np.asarray(weight, dtype=np.float64), shape)
    moving = np.ones(starts.shape[1], dtype=np.bool_) if free is None else free
    rows = max(1, _CHUNK // (shape[1] * starts.shape[1]))
    pieces = [
        _minimise(
            curve,
            starts[i : i + rows],
            target[i : i + rows],
            weights[i : i + rows],
            delta,
            moving,
            iterations,
        )
        for i in range(0, len(starts), rows)
    ]
    return Minima(
        np.concatenate([piece.parameters for piece in pieces]),
        np.concatenate([piece.objective for piece in pieces]),
        np.concatenate([piece.gradient_norm for piece in pieces]),
        np.concatenate([piece.converged for piece in pieces]),
    )


def _minimise(
    curve: Curve,
    starts: Array,
    target: Array,
    weight: Array,
    delta: float,
    free: NDArray[np.bool_],
    iterations: int,
) -> Minima:
    theta = starts.copy()
    prediction, jacobian = curve(theta)
    jacobian = jacobian[..., free]
    residual = prediction - target
    objective = (weight * huber(residual, delta)).sum(-1)
    # A start where the law is not defined waits there: only its damping ends it.
    undefined = ~(np.isfinite(objective) & np.isfinite(jacobian).all((-1, -2)))
    objective[undefined], residual[undefined], jacobian[undefined] = np.inf, 0.0, 0.0
    rounding = (weight * huber(np.full_like(residual, _ROUNDING), delta)).sum(-1)
    damping = np.full(len(theta), 1e-2)
    quiet = np.zeros(len(theta), dtype=np.int64)
    live = np.arange(len(theta))
    for _ in range(iterations):
        step, promised = _step(residual[live], jacobian[live], weight[live], damping[live], delta)
        trial = theta[live]
        trial[:, free] += step
        prediction, trial_jacobian = curve(trial)
        trial_jacobian = trial_jacobian[..., free]
        trial_residual = prediction - target[live]
        reached = (weight[live] * huber(trial_residual, delta)).sum(-1)
        decrease = objective[live] - reached
        better = np.isfinite(reached) & (decrease > 0) & np.isfinite(trial_jacobian).all((-1, -2))
        accepted = live[better]
        theta[accepted], objective[accepted] = trial[better], reached[better]
        residual[accepted], jacobian[accepted] = trial_residual[better], trial_jacobian[better]
        damping[live] = _next_damping(damping[live], better, decrease, promised)
        still = promised <= _RELATIVE_DECREASE * objective[live]
        quiet[live] = np.where(still | (objective[live] <= rounding[live]), quiet[live] + 1, 0)
        live = live[(quiet[live] < _QUIET_STEPS) & (damping[live] < _DAMPING[1])]
        if not len(live):
            break
    gradient = _gradient(residual, jacobian, weight, delta)
    return Minima(theta, objective, np.abs(gradient).max(-1), quiet >= _QUIET_STEPS)


def _gradient(residual: Array, jacobian: Array, weight: Array, delta: float) -> Array:
    slope: Array = weight * np.clip(residual, -delta, delta)
    return (slope[:, None, :] @ jacobian)[:, 0]


def _step(
    residual: Array, jacobian: Array, weight: Array, damping: Array, delta: float
) -> tuple[Array, Array]:
    """Step (B, P) and the decrease (B,) that the quadratic model promises."""
    size = np.abs(residual)
    gradient = _gradient(residual, jacobian, weight, delta)
    across = jacobian.transpose(0, 2, 1)
    outside = size > delta
    downweight = np.divide(delta, size, out=np.ones_like(size), where=outside)
    newton = (across * (weight * ~outside)[:, None, :]) @ jacobian
    reweighted = (across * (weight * downweight)[:, None, :]) @ jacobian
    scale = np.einsum("bpp->bp", reweighted)
    # The floor keeps a parameter that the data do not see (E -> 0) from making the matrix singular.
    floor = 1e-13 * scale.max(-1, keepdims=True) + np.finfo(np.float64).tiny
    hessian = newton + damping[:, None, None] * reweighted
    diagonal = np.arange(jacobian.shape[-1])
    hessian[:, diagonal, diagonal] += damping[:, None] * scale + floor
    step = np.asarray(-np.linalg.solve(hessian, gradient[..., None])[..., 0], dtype=np.float64)
    promised: Array = -0.5 * np.einsum("bp,bp->b", gradient, step)
    return step, promised


def _next_damping(damping: Array, better: NDArray[np.bool_], decrease: Array, promised: Array) -> Array:
    """Levenberg-Marquardt: less where the model was right, more where a step was refused."""
    trust = decrease / np.maximum(promised, np.finfo(np.float64).tiny)
    factor = np.where(trust > 0.75, 0.2, np.where(trust < 0.25, 2.0, 1.0))
    return np.clip(damping * np.where(better, factor, 4.0), *_DAMPING)
