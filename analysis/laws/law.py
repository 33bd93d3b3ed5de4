"""The estimator that all scaling laws share: fit, predict, summary.

A law is one pure function from log-parameters and log-inputs to the log loss and its Jacobian, in a
file of its own; the rest (centring, starts, fitting, refusing) is here. After scikit-learn,
what a fit found ends in an underscore.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from analysis.solvers.damped_newton import Array, Curve, minimise_huber
from wardlaw.errors import RecordError

_SAME_OPTIMUM = 1e-6
_COLLINEAR = 0.999


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
        Largest component of the gradient at the best, of the sum of Huber losses.
    converged : bool
        Whether the best start met the solver's own stopping test.
    """

    starts: int
    reached_best: float
    gradient_norm: float
    converged: bool


class ScalingLaw(ABC):
    """A law fitted by Huber's loss on the log of the loss (arXiv 2203.15556, section 3.3).

    Inputs are centred in the log before fitting: parameters of different powers then hardly
    correlate, and starts need no units.

    Parameters
    ----------
    delta : float
        Threshold of Huber's loss in log loss: residuals beyond it count linearly.

    Attributes
    ----------
    params_ : dict of str to float
        By name, in the units of the inputs and of the loss.
    objective_ : float
        Sum over runs of Huber's loss.
    convergence_ : Convergence
    n_ : int
        Runs fitted.
    theta_ : ndarray (P,)
        Solution in the solver's coordinates (logs of the terms at the centre, then exponents).
    """

    name: ClassVar[str]
    formula: ClassVar[str]
    source: ClassVar[str]
    inputs: ClassVar[tuple[str, ...]]
    parameters: ClassVar[tuple[str, ...]]

    def __init__(self, *, delta: float = 1e-3) -> None:
        self.delta = delta

    @staticmethod
    @abstractmethod
    def curve(log_inputs: Array, theta: Array) -> tuple[Array, Array]:
        """Log loss (B, n) and Jacobian (B, n, P) at centred log-inputs (n, K), theta (B, P)."""

    @staticmethod
    @abstractmethod
    def start_grid(log_loss: float) -> Array:
        """Starts (S, P) for data whose mean log loss is ``log_loss``."""

    @staticmethod
    @abstractmethod
    def natural(theta: Array, centre: Array) -> Array:
        """Parameters (..., P) in the order of ``parameters`` from the solver's (..., P)."""

    def fit(self, inputs: ArrayLike, loss: ArrayLike, *, weight: ArrayLike = 1.0) -> Self:
        """Fit from the whole start grid.

        Parameters
        ----------
        inputs : array-like (n,) or (n, K)
            Sizes, or sizes and tokens: one column for each of the law's inputs.
        loss : array-like (n,)
            Positive losses in nats.
        weight : array-like (n,), optional
            Weights of runs; a common factor changes nothing.

        Raises
        ------
        RecordError
            If the data cannot determine the law's parameters.
        """
        log_inputs, log_loss = _checked(type(self), inputs, loss)
        self.centre_ = log_inputs.mean(axis=0)
        self._log_inputs, self._log_loss = log_inputs - self.centre_, log_loss
        starts = self.start_grid(float(log_loss.mean()))
        minima = minimise_huber(self._curve(), starts, log_loss, weight, delta=self.delta)
        best = int(np.argmin(minima.objective))
        self.theta_ = minima.parameters[best]
        self.objective_ = float(minima.objective[best])
        reached = minima.objective <= self.objective_ * (1 + _SAME_OPTIMUM) + np.finfo(np.float64).eps ** 1.5
        self.convergence_ = Convergence(
            starts=len(starts),
            reached_best=float(reached.mean()),
            gradient_norm=float(minima.gradient_norm[best]),
            converged=bool(minima.converged[best]),
        )
        self.n_ = len(log_loss)
        self.params_ = self.named(self.theta_)
        return self

    def refit(self, log_loss: ArrayLike, weight: ArrayLike, *, guards: int = 2) -> Array:
        """Fit resampled runs, all replicates as one problem.

        Each is started from the fit and from ``guards`` points of the start grid; the best counts.

        Parameters
        ----------
        log_loss, weight : array-like, broadcast to (R, n)
            Log losses and weights of the fitted runs in each replicate.
        guards : int
            Further starts of each replicate.

        Returns
        -------
        ndarray (R, P)
            Solutions in the coordinates of ``theta_``.
        """
        log_loss, weight = np.broadcast_arrays(np.atleast_2d(log_loss), np.atleast_2d(weight))
        grid = self.start_grid(float(self._log_loss.mean()))
        spread = grid[np.linspace(0, len(grid) - 1, guards + 2).astype(int)[1:-1]]
        found = [
            minimise_huber(
                self._curve(), np.tile(start, (len(log_loss), 1)), log_loss, weight, delta=self.delta
            )
            for start in (self.theta_, *spread)
        ]
        best = np.argmin([minima.objective for minima in found], axis=0)
        solutions: Array = np.stack([minima.parameters for minima in found])[best, np.arange(len(log_loss))]
        return solutions

    def predict(self, inputs: ArrayLike, theta: Array | None = None) -> Array:
        """Loss in nats at inputs (m,) or (m, K): (m,), or (R, m) for replicates ``theta`` (R, P)."""
        theta = self.theta_ if theta is None else theta
        log_inputs = np.log(_columns(type(self), inputs)) - self.centre_
        predicted = np.exp(self.curve(log_inputs, np.atleast_2d(theta))[0])
        return predicted if theta.ndim == 2 else predicted[0]

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
            "objective": self.objective_,
            "objective_form": f"sum over runs of Huber(log predicted - log measured), delta = {self.delta:g}",
            "convergence": asdict(self.convergence_),
            "n": self.n_,
        }

    def _curve(self) -> Curve:
        return partial(self.curve, self._log_inputs)


def _columns(law: type[ScalingLaw], inputs: ArrayLike) -> Array:
    columns = np.asarray(inputs, dtype=np.float64)
    columns = columns[:, None] if columns.ndim == 1 else columns
    if columns.ndim != 2 or columns.shape[1] != len(law.inputs):
        raise RecordError(
            f"the {law.name} law takes the columns {', '.join(law.inputs)}, not an array of shape "
            f"{columns.shape}"
        )
    return columns


def _checked(law: type[ScalingLaw], inputs: ArrayLike, loss: ArrayLike) -> tuple[Array, Array]:
    """Logs of inputs (n, K) and loss (n,), or the reason why the law cannot be fitted to them."""
    columns, losses = _columns(law, inputs), np.asarray(loss, dtype=np.float64)
    if losses.shape != (len(columns),):
        raise RecordError(f"{len(columns)} inputs but losses of shape {losses.shape}")
    for name, values in [*zip(law.inputs, columns.T, strict=True), ("loss", losses)]:
        if wrong := int((~(np.isfinite(values) & (values > 0))).sum()):
            raise RecordError(
                f"{wrong} of {len(values)} values of {name} are not positive numbers",
                remedy="Leave those runs out; a law of powers has no log for them",
            )
    for name, values in zip(law.inputs, columns.T, strict=True):
        if len(values) and len(np.unique(values)) == 1:
            raise RecordError(
                f"all {len(values)} runs have the same {name} ({values[0]:g}), so no exponent can be fitted",
                remedy=f"Add runs at other values of {name}",
            )
    points, needed = len(np.unique(columns, axis=0)), len(law.parameters)
    if points < needed:
        raise RecordError(
            f"the {law.name} law has {needed} parameters but the {len(columns)} runs have only {points} "
            f"distinct {' and '.join(law.inputs)}",
            remedy="Add sizes, or fit a law with fewer parameters",
        )
    logs = np.log(columns)
    if logs.shape[1] > 1 and abs(np.corrcoef(logs.T)[0, 1]) > _COLLINEAR:
        raise RecordError(
            f"{' and '.join(law.inputs)} grow together in all runs, so their exponents cannot be told apart",
            remedy="Add runs of one size at another token budget",
        )
    return logs, np.log(losses)
