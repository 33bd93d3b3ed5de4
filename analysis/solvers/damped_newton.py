"""Many Huber regressions solved at once: every start and every bootstrap replicate is one row.

The objective of row b is sum_i w_bi huber(r_bi), with r the residual of the log loss. It is nearly an
absolute loss at the usual threshold of 1e-3, where general-purpose minimisers stop early: their
tolerances are absolute, and the objective is of order 1e-3 (the published failure: an average instead
of a sum moved the answer). Here every test is relative to the objective itself, so its scale and the
choice of sum or mean cannot matter.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.arrays import Array
from analysis.solvers.local_model import Curve, LocalModel, Regressions, huber

_TINY = np.finfo(np.float64).tiny
_RELATIVE_DECREASE = 1e-12
# Below this a decrease is rounding; above it a row must promise too little several times.
_NO_DECREASE = 1e-14
_QUIET_STEPS = 3
_DAMPING = (1e-10, 1e10)
_FIRST_DAMPING = 1e-3
# A graduated threshold goes down by the second once a step promises less than the first.
_SETTLED, _GRADE = 0.1, 4.0
# Residuals of this size are rounding: a noise-free fit ends here.
_ROUNDING = 1e-13
# A row is in the basin of a known minimum when its predictions are as near as this share of the
# objective, in the metric of reweighted least squares.
_SAME_BASIN = 1e-3


@dataclass(frozen=True)
class Minima:
    """One minimum a row.

    Attributes
    ----------
    parameters : ndarray (B, P)
    objective : ndarray (B,)
        Weighted sum of Huber losses; infinite where the law is not defined at the start.
    gradient_norm : ndarray (B,)
        Largest absolute component of the objective's gradient.
    converged : ndarray (B,) of bool
        Whether no step promised a relative decrease above 1e-12 any more.
    """

    parameters: Array
    objective: Array
    gradient_norm: Array
    converged: NDArray[np.bool_]

    def lower(self, other: "Minima") -> "Minima":
        """Of each row the lower of two minima."""
        return self.where(self.objective <= other.objective, other)

    def where(self, mine: NDArray[np.bool_], other: "Minima") -> "Minima":
        """These minima in some rows, and others in the rest."""
        return Minima(
            np.where(mine[:, None], self.parameters, other.parameters),
            np.where(mine, self.objective, other.objective),
            np.where(mine, self.gradient_norm, other.gradient_norm),
            np.where(mine, self.converged, other.converged),
        )


# Rows that are undefined have infinite objectives, whose differences are no news.
@np.errstate(over="ignore", invalid="ignore")
def minimise_huber(
    curve: Curve,
    starts: Array,
    log_loss: ArrayLike,
    weight: ArrayLike = 1.0,
    *,
    delta: float = 1e-3,
    free: NDArray[np.bool_] | None = None,
    known: Minima | None = None,
    widest: float = np.inf,
    iterations: int = 400,
) -> Minima:
    """Minimise sum_i w_i huber(curve(theta)_i - log_loss_i) from each start.

    A damped Newton iteration: the Hessian of the quadratic zone (Gauss-Newton), plus a damping that
    grows towards iteratively reweighted least squares, whose step always descends. Far from a minimum
    the threshold is graduated (``Regressions.models``). Rows share nothing; a finished row leaves the
    batch.

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
    known : Minima, optional
        A minimum of each row. A row that comes into its basin from above ends there.
    widest : float
        Largest graduated threshold; ``delta`` for a plain local search from each start.
    iterations : int
        Most iterations of a row.
    """
    theta = np.array(starts, dtype=np.float64)
    shape = (len(theta), curve(theta[:1])[0].shape[-1])
    moving = np.ones(theta.shape[1], dtype=np.bool_) if free is None else free
    rows = np.arange(len(theta))
    problem = Regressions(
        curve=curve,
        target=np.broadcast_to(np.asarray(log_loss, dtype=np.float64), shape),
        weight=np.broadcast_to(np.asarray(weight, dtype=np.float64), shape),
        delta=delta,
        free=moving,
    )
    everywhere = np.full(len(theta), widest)
    _, here = problem.models(theta, rows, everywhere, everywhere)
    rounding = problem.weight.sum(-1) * huber(np.array(_ROUNDING), delta)
    basins = _Basins(problem, known) if known else None
    damping = np.full(len(theta), _FIRST_DAMPING)
    quiet = np.zeros(len(theta), dtype=np.int64)
    # A start where the law is not defined waits there.
    live = rows[np.isfinite(here.objective)]
    for _ in range(iterations):
        present = here.at(live)
        step, promised = _step(present, damping[live])
        trial = theta[live]
        trial[:, moving] += step
        settled = promised <= _SETTLED * present.objective
        ceiling = np.where(settled, present.threshold / _GRADE, present.threshold)
        reached, models = problem.models(trial, live, present.threshold, ceiling)
        # Equality too: a row at a graduated minimum has to go on to the next threshold.
        better = reached <= present.objective
        theta[live[better]] = trial[better]
        here.put(live[better], models.at(np.flatnonzero(better)))
        damping[live] = _next_damping(damping[live], better, present.objective - reached, promised)
        still = (promised <= _RELATIVE_DECREASE * present.objective) | (present.objective <= rounding[live])
        steps = np.where(promised <= _NO_DECREASE * present.objective, _QUIET_STEPS, 1)
        quiet[live] = np.where(still & (present.threshold <= delta), quiet[live] + steps, 0)
        live = live[(quiet[live] < _QUIET_STEPS) & (damping[live] < _DAMPING[1])]
        if basins:
            live = live[~basins.hold(live, theta[live], here.at(live))]
        if not len(live):
            break
    # A row that gave up while its threshold was wide has its objective at the true one all the same.
    wide = np.flatnonzero(here.threshold > delta)
    if len(wide):
        narrow = np.full(len(wide), delta)
        here.put(wide, problem.models(theta[wide], wide, narrow, narrow)[1])
    found = Minima(theta, here.objective, np.abs(here.gradient).max(-1, initial=0.0), quiet >= _QUIET_STEPS)
    return basins.settle(found) if basins else found


class _Basins:
    """Where known minima of some regressions attract, and which rows have come there."""

    def __init__(self, problem: Regressions, known: Minima) -> None:
        delta = np.full(len(known.objective), problem.delta)
        _, models = problem.models(known.parameters, np.arange(len(delta)), delta, delta)
        self._known, self._metric, self._problem = known, models.reweighted, problem
        self._joined = np.zeros(len(delta), dtype=np.bool_)

    def hold(self, rows: NDArray[np.intp], theta: Array, models: LocalModel) -> NDArray[np.bool_]:
        """Whether each of some rows has come near its known minimum from above, and so ends there."""
        apart = (theta - self._known.parameters[rows])[:, self._problem.free]
        distance = 0.5 * np.einsum("bp,bpq,bq->b", apart, self._metric[rows], apart)
        lowest = self._known.objective[rows]
        near: NDArray[np.bool_] = (
            (distance <= _SAME_BASIN * lowest)
            & (models.objective >= lowest)
            & (models.threshold <= self._problem.delta)
        )
        self._joined[rows] = near
        return near

    def settle(self, found: Minima) -> Minima:
        """The minima found, with the known ones where rows have joined them."""
        return self._known.where(self._joined, found)


def _step(model: LocalModel, damping: Array) -> tuple[Array, Array]:
    """Step (B, P) and the decrease (B,) that the quadratic model promises."""
    scale = np.einsum("bpp->bp", model.reweighted)
    # The floor keeps a parameter that the data do not see (E -> 0) from making the matrix singular.
    # Where nothing moves (the profile of the only free parameter) there is no scale, and no step.
    floor = 1e-13 * scale.max(-1, keepdims=True, initial=0.0) + _TINY
    hessian = model.newton + damping[:, None, None] * model.reweighted
    np.einsum("bpp->bp", hessian)[...] += damping[:, None] * scale + floor
    step = np.asarray(-np.linalg.solve(hessian, model.gradient[..., None])[..., 0], dtype=np.float64)
    promised: Array = -0.5 * np.einsum("bp,bp->b", model.gradient, step)
    return step, promised


def _next_damping(damping: Array, better: NDArray[np.bool_], decrease: Array, promised: Array) -> Array:
    """Levenberg-Marquardt: less where the model was right, more where a step was refused."""
    trust = decrease / np.maximum(promised, _TINY)
    factor = np.where(trust > 0.75, 0.2, np.where(trust < 0.25, 2.0, 1.0))
    return np.clip(damping * np.where(better, factor, 4.0), *_DAMPING)
