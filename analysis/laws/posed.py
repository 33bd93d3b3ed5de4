"""A law at fixed inputs, ready to be minimised, and how that ended."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.arrays import Array
from analysis.solvers.damped_newton import Minima, minimise_huber
from analysis.solvers.local_model import Curve
from analysis.solvers.objective import Objective


@dataclass(frozen=True)
class Minimum:
    """One of the minima that starts ended in.

    Attributes
    ----------
    params : dict of str to float
    objective : float
    """

    params: Mapping[str, float]
    objective: float


@dataclass(frozen=True)
class Convergence:
    """How a multi-start fit ended.

    Attributes
    ----------
    starts : int
        Points of the start grid.
    reached_best : float
        Share of the starts that ended within 1e-6 (relative) of the best objective.
    gradient_norm : float
        Largest component of the objective's gradient at the best, in the solver's coordinates.
    converged : bool
        Whether the best start met the solver's own stopping test.
    solver : str
    other_minima : tuple of Minimum
        Where other starts ended whose objective is within 1 % of the best: parameters that the runs
        hardly tell from the best ones, the lowest first.
    """

    starts: int
    reached_best: float
    gradient_norm: float
    converged: bool
    solver: str
    other_minima: tuple[Minimum, ...]


@dataclass(frozen=True)
class Posed:
    """A law at fixed inputs, ready to be minimised.

    Attributes
    ----------
    inputs : ndarray (n, K)
    curve : callable
        On the objective's scale.
    features : ndarray (n, ...)
        Centred.
    centre : ndarray
        What was subtracted from them.
    target : ndarray (n,)
    free : ndarray (P,) of bool
        Parameters that are fitted.
    fixed : ndarray (P,) or (B, P)
        The solver's values of the others.
    """

    inputs: Array
    curve: Curve
    features: Array
    centre: Array
    target: Array
    free: NDArray[np.bool_]
    fixed: Array

    def minimise(
        self,
        objective: Objective,
        starts: Array,
        target: Array,
        weight: ArrayLike,
        known: Minima | None = None,
        widest: float = np.inf,
    ) -> Minima:
        """Minimise from each start (B, P), with targets and weights that broadcast to (B, n).

        ``known`` and ``widest`` are those of ``minimise_huber``.
        """
        return minimise_huber(
            self.curve,
            np.where(self.free, starts, self.fixed),
            objective.measured(target),
            weight,
            delta=objective.delta,
            free=self.free,
            known=known,
            widest=widest,
        )
