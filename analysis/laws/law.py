"""The estimator that all scaling laws share: fit, predict, summary.

A law is one pure function from parameters and inputs to the target and its Jacobian, in a file of
its own; the rest (centring, starts, fixed parameters, fitting, refusing) is here. After
scikit-learn, what a fit found ends in an underscore.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from analysis.arrays import Array
from analysis.laws.posed import Convergence, Minimum, Posed
from analysis.laws.refusals import checked_columns, checked_points
from analysis.solvers.damped_newton import Minima
from analysis.solvers.objective import HUBER_LOG, Objective, Scale, from_scale, to_scale
from wardlaw.errors import RecordError

_SAME_OPTIMUM = 1e-6
# Other minima are shown whose objective is this much above the best one's, and so many of them.
_NEARLY_AS_GOOD, _SHOWN = 0.01, 5
# Sums of squares of residuals at the level of rounding: two noise-free fits are the same optimum.
_ROUNDING = np.finfo(np.float64).eps ** 1.5


class ScalingLaw(ABC):
    """A law of one target in some inputs, fitted from a grid of starts.

    Features of the inputs are centred before fitting: parameters of different powers then hardly
    correlate, and starts need no units.

    Parameters
    ----------
    objective : Objective, optional
        What is minimised; the law's ``default_objective`` if nobody says.

    Attributes
    ----------
    params_ : dict of str to float
        By name, in the units of the inputs and of the target.
    objective_ : float
        Value of the objective.
    convergence_ : Convergence
    n_ : int
        Runs fitted.
    fixed_ : dict of str to float
        Parameters that were given and not fitted.
    theta_ : ndarray (P,)
        Solution in the solver's coordinates.
    """

    name: ClassVar[str]
    formula: ClassVar[str]
    source: ClassVar[str]
    inputs: ClassVar[tuple[str, ...]]
    parameters: ClassVar[tuple[str, ...]]
    exponents: ClassVar[tuple[str, ...]]
    bounds: ClassVar[str]
    target: ClassVar[str] = "L"
    scale: ClassVar[Scale] = "log"
    default_objective: ClassVar[Objective] = HUBER_LOG
    may_be_zero: ClassVar[frozenset[str]] = frozenset()
    without_exponent: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, objective: Objective | None = None) -> None:
        self.objective = objective or self.default_objective

    @staticmethod
    @abstractmethod
    def curve(features: Array, theta: Array) -> tuple[Array, Array]:
        """Target on ``scale`` (B, n) with its Jacobian (B, n, P).

        Parameters
        ----------
        features : ndarray (n, ...)
            Centred.
        theta : ndarray (B, P)
        """

    @staticmethod
    @abstractmethod
    def start_grid(features: Array, target: Array) -> Array:
        """Starts (S, P) for centred features (n, ...) and targets (n,)."""

    @staticmethod
    @abstractmethod
    def natural(theta: Array, centre: Array) -> Array:
        """Parameters (..., P) in the order of ``parameters`` from the solver's (..., P)."""

    @staticmethod
    @abstractmethod
    def internal(natural: Array, centre: Array) -> Array:
        """The inverse of ``natural``."""

    @staticmethod
    def features(inputs: Array) -> Array:
        """What the curve needs of the inputs (n, K): their logs, unless a law says otherwise."""
        return np.log(inputs)

    @classmethod
    def centre(cls, features: Array, fixed: Collection[str] = ()) -> Array:
        """What to subtract from the features: their mean.

        Where parameters are fixed it is zero, since a coefficient at the centre is another number
        than the coefficient.
        """
        mean: Array = features.mean(axis=0)
        return np.zeros_like(mean) if fixed else mean

    @classmethod
    def told_apart(cls, inputs: Array, fixed: Collection[str]) -> dict[str, Array]:
        """What runs (n, K) must differ in, and not together, for the free parameters to be determined.

        The inputs that have an exponent; with an exponent fixed nothing, unless a law knows what is left.
        """
        named = zip(cls.inputs, inputs.T, strict=True)
        if not set(cls.exponents).isdisjoint(fixed):
            return {}
        return {name: values for name, values in named if name not in cls.without_exponent}

    def fit(
        self,
        inputs: ArrayLike,
        target: ArrayLike,
        *,
        weight: ArrayLike = 1.0,
        fixed: Mapping[str, float] | None = None,
    ) -> Self:
        """Fit from the whole start grid.

        Parameters
        ----------
        inputs : array-like (n,) or (n, K)
            One column for each of the law's ``inputs``.
        target : array-like (n,)
            Positive losses in nats (or the law's other target; of any sign on the raw scale).
        weight : array-like (n,), optional
            Weights of runs; a common factor changes nothing.
        fixed : dict of str to float, optional
            Parameters to hold at given values.

        Raises
        ------
        RecordError
            If the data cannot determine the law's parameters.
        """
        self.fixed_ = dict(fixed or {})
        posed = self._pose(*checked_points(self, inputs, target, self.fixed_), self.fixed_)
        grid = self.start_grid(posed.features, posed.target)
        # Starts that differ in fixed parameters alone are one start.
        starts = np.unique(np.where(posed.free, grid, posed.fixed), axis=0)
        minima = posed.minimise(self.objective, starts, posed.target, weight)
        self._keep(posed, weight, minima, minima.parameters, "damped Newton, all starts as one batch")
        return self

    def fit_from(
        self,
        start: Mapping[str, float],
        inputs: ArrayLike,
        target: ArrayLike,
        *,
        weight: ArrayLike = 1.0,
        fixed: Mapping[str, float] | None = None,
    ) -> Self:
        """Fit by a plain local search from one start, to see which minimum lies there.

        Parameters
        ----------
        start : dict of str to float
            Of every parameter that is not fixed.
        inputs, target, weight, fixed
            As in ``fit``.

        Raises
        ------
        RecordError
            If the data cannot determine the parameters, or the start lacks one.
        """
        self.fixed_ = dict(fixed or {})
        posed = self._pose(*checked_points(self, inputs, target, self.fixed_), self.fixed_)
        given = {**start, **self.fixed_}
        if given.keys() != set(self.parameters):
            raise RecordError(
                f"the start of the {self.name} law names {', '.join(start)}",
                where="--start",
                remedy=f"Give {', '.join(name for name in self.parameters if name not in self.fixed_)}",
            )
        natural = np.array([[given[name] for name in self.parameters]])
        starts = self.internal(natural, posed.centre)
        minima = posed.minimise(self.objective, starts, posed.target, weight, widest=self.objective.delta)
        self._keep(posed, weight, minima, minima.parameters, "damped Newton from the given start alone")
        return self

    def refit(self, target: ArrayLike, weight: ArrayLike, *, guards: int = 2) -> Array:
        """Fit resampled runs, all replicates as one problem.

        Each is started from the fit, then from its guards (``guard_starts``). The best counts.

        Parameters
        ----------
        target, weight : array-like, broadcast to (R, n)
            Targets and weights of the fitted runs in each replicate.
        guards : int
            Most guards of either kind.

        Returns
        -------
        ndarray (R, P)
            Solutions in the coordinates of ``theta_``.
        """
        target, weight = np.atleast_2d(target), np.atleast_2d(weight)
        shape = (max(len(target), len(weight)), len(self.theta_))
        best = self._posed.minimise(self.objective, np.broadcast_to(self.theta_, shape), target, weight)
        for guard in self.guard_starts(guards):
            starts = np.broadcast_to(guard, shape)
            best = best.lower(self._posed.minimise(self.objective, starts, target, weight, best))
        return best.parameters

    def guard_starts(self, guards: int) -> Array:
        """Further starts (G, P) of a replicate, whose minimum need not be the fit's.

        The other minima that the fit's starts ended in, the lowest first, and points spread over the
        start grid: at most ``guards`` of either.
        """
        grid = self.start_grid(self._posed.features, self._posed.target)
        spread = grid[np.linspace(0, len(grid) - 1, guards + 2).astype(int)[1:-1]]
        return np.concatenate([self._rivals[:guards], spread])

    def profile(self, name: str, values: Array) -> tuple[Array, Array]:
        """Lowest objective with one parameter held at each of some values, the others fitted anew.

        Parameters
        ----------
        name : str
        values : ndarray (V,)

        Returns
        -------
        objective : ndarray (V,)
        params : ndarray (V, P)
            Natural parameters there.
        """
        fixed = {**self.fixed_, name: self.params_[name]}
        posed = self._pose(self._posed.inputs, self._posed.target, fixed)
        natural = np.tile(np.array([self.params_[key] for key in self.parameters]), (len(values), 1))
        natural[:, self.parameters.index(name)] = values
        starts = self.internal(natural, posed.centre)
        held = replace(posed, fixed=np.where(posed.free, 0.0, starts))
        minima = held.minimise(self.objective, starts, posed.target, self._weight)
        return minima.objective, self.natural(minima.parameters, posed.centre)

    def effects(self) -> Array:
        """What a unit of each of the solver's coordinates (P,) changes in the predictions of the fitted runs.

        The largest change of one, by the range of the targets on the law's scale.
        """
        _, jacobian = self.curve(self._posed.features, self.theta_[None])
        spread = float(np.ptp(to_scale(self._posed.target, self.scale)))
        return np.asarray(np.abs(jacobian[0]).max(axis=0) / max(spread, _ROUNDING))

    def predict(self, inputs: ArrayLike, theta: Array | None = None) -> Array:
        """Target at inputs (m,) or (m, K): (m,), or (R, m) for replicates ``theta`` (R, P)."""
        theta = self.theta_ if theta is None else theta
        features = self.features(checked_columns(self, inputs)) - self.centre_
        predicted = from_scale(self.curve(features, np.atleast_2d(theta))[0], self.scale)
        return predicted if theta.ndim == 2 else predicted[0]

    def predict_each(self, inputs: Array, theta: Array) -> Array:
        """Target (R, m) where every replicate ``theta`` (R, P) has inputs (R, m, K) of its own."""
        pairs = zip(inputs, theta, strict=True)
        return np.array([self.predict(points, solution) for points, solution in pairs])

    def named(self, theta: Array) -> dict[str, Any]:
        """Natural parameters by name; arrays (R,) where ``theta`` is (R, P)."""
        values = np.moveaxis(self.natural(theta, self.centre_), -1, 0)
        return {
            name: float(value) if value.ndim == 0 else value
            for name, value in zip(self.parameters, values, strict=True)
        }

    def summary(self) -> Mapping[str, Any]:
        """Everything that a reader needs to judge or repeat the fit."""
        return {
            "law": self.name,
            "formula": self.formula,
            "source": self.source,
            "params": self.params_,
            "bounds": self.bounds,
            "fixed": dict(self.fixed_),
            "objective": self.objective_,
            "objective_form": str(self.objective),
            "scale": self.scale,
            "convergence": asdict(self.convergence_),
            "n": self.n_,
        }

    def _pose(self, inputs: Array, target: Array, fixed: Mapping[str, float]) -> Posed:
        features = self.features(inputs)
        centre = self.centre(features, fixed)
        natural = np.array([fixed.get(name, 1.0) for name in self.parameters])
        law = partial(self.curve, features - centre)
        held = self.internal(natural, centre)
        free = np.array([name not in fixed for name in self.parameters])
        if (impossible := ~free & ~(held < np.inf)).any():
            name = self.parameters[int(np.argmax(impossible))]
            raise RecordError(
                f"the {self.name} law cannot have {name} = {fixed[name]:g} on these runs",
                where="--fixed",
                remedy=f"Its bounds: {self.bounds}",
            )
        return Posed(
            inputs=inputs,
            curve=self.objective.curve(law, self.scale),
            features=features - centre,
            centre=centre,
            target=target,
            free=free,
            fixed=held,
        )

    def _keep(self, posed: Posed, weight: ArrayLike, minima: Minima, solutions: Array, solver: str) -> None:
        """Take the best of some minima, whose ``solutions`` (S, P) are in the law's coordinates."""
        objective = np.where(np.isfinite(minima.objective), minima.objective, np.inf)
        best = int(np.argmin(objective))
        if np.isinf(objective[best]):
            raise RecordError(
                f"no start of the {self.name} law gives a finite objective on these runs",
                remedy="Look at the values: the law may not be defined there",
            )
        self._posed, self._weight, self.centre_ = posed, weight, posed.centre
        self.theta_, self.objective_ = solutions[best], float(objective[best])
        reached = objective <= self.objective_ * (1 + _SAME_OPTIMUM) + _ROUNDING
        rivals = ~reached & minima.converged
        self._rivals, heights = _distinct(solutions[rivals], objective[rivals])
        good = zip(self._rivals, heights[heights <= self.objective_ * (1 + _NEARLY_AS_GOOD)], strict=False)
        self.convergence_ = Convergence(
            starts=len(objective),
            reached_best=float(reached.mean()),
            gradient_norm=float(minima.gradient_norm[best]),
            converged=bool(minima.converged[best]),
            solver=solver,
            other_minima=tuple(Minimum(self.named(theta), float(height)) for theta, height in good)[:_SHOWN],
        )
        self.n_ = len(posed.target)
        self.params_ = self.named(self.theta_)


def _distinct(solutions: Array, objective: Array) -> tuple[Array, Array]:
    """Solutions (S, P) of one objective (S,) each that is finite, the lowest first."""
    order = np.argsort(objective)
    order = order[np.isfinite(objective[order])]
    order = order[np.diff(objective[order], prepend=-np.inf) > _SAME_OPTIMUM * objective[order]]
    return solutions[order], objective[order]
