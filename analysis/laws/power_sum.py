"""Laws that are sums of products of powers: most of them."""

from abc import abstractmethod
from collections.abc import Collection, Mapping
from functools import partial
from itertools import product
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from analysis.arrays import Array
from analysis.laws.law import ScalingLaw
from analysis.laws.refusals import checked_points
from analysis.solvers.damped_newton import minimise_huber
from analysis.solvers.objective import SQUARES
from analysis.solvers.projection import non_negative_coefficients, projected_curve

_NOTHING = np.finfo(np.float64).tiny
# Shares of the target that the terms start with, by their number.
_SHARES: dict[int, tuple[tuple[float, ...], ...]] = {
    1: ((1.0,),),
    2: ((0.02, 0.98), (0.1, 0.9), (0.3, 0.7), (0.6, 0.4), (0.9, 0.1)),
    3: ((0.8, 0.1, 0.1), (0.5, 0.25, 0.25), (0.1, 0.45, 0.45), (0.5, 0.1, 0.4), (0.5, 0.4, 0.1)),
    4: (
        (0.7, 0.1, 0.1, 0.1),
        (0.4, 0.2, 0.2, 0.2),
        (0.1, 0.3, 0.3, 0.3),
        (0.4, 0.4, 0.1, 0.1),
        (0.4, 0.1, 0.4, 0.1),
        (0.4, 0.1, 0.1, 0.4),
    ),
}


class PowerSum(ScalingLaw):
    """A target that is the sum over j of c_j exp(sum over q of F_jq(x) phi_q).

    The features F are logs of inputs (or products with them), the coefficients c_j are positive and
    the exponents phi_q unbounded, so that its log is a log-sum-exp of linear functions. Features are
    centred term by term over the runs.

    A law of this kind says only ``coefficients``, ``exponents``, where its exponents start, and the
    features (n, T, Q) of its inputs; ``parameters`` are the coefficients, then the exponents.
    """

    coefficients: ClassVar[tuple[str, ...]]
    exponent_starts: ClassVar[Mapping[str, tuple[float, ...]]]
    bounds: ClassVar[str] = "coefficients positive, exponents unbounded"

    @staticmethod
    @abstractmethod
    def features(inputs: Array) -> Array:
        """Features (n, T, Q) of inputs (n, K): what multiplies exponent q in the log of term j."""

    @classmethod
    def centre(cls, features: Array, fixed: Collection[str] = ()) -> Array:
        """Mean features (T, Q); zero for terms whose coefficient is fixed."""
        held = np.array([name in fixed for name in cls.coefficients])
        return np.where(held[:, None], 0.0, features.mean(axis=0))

    @staticmethod
    def curve(features: Array, theta: Array) -> tuple[Array, Array]:
        """Log of the sum, theta = (log c at the centre, phi)."""
        runs, terms, exponents = features.shape
        # Runs last in memory: the solver's products of Jacobians are then of contiguous rows.
        jacobian = np.zeros((len(theta), terms + exponents, runs))
        shares = jacobian[:, :terms]
        shares[...] = theta[:, :terms, None]
        used = np.argwhere((features != 0).any(axis=0))
        for term, exponent in used:
            shares[:, term] += theta[:, terms + exponent, None] * features[:, term, exponent]
        prediction = shares.max(axis=1)
        shares -= prediction[:, None]
        np.exp(shares, out=shares)
        total = shares.sum(axis=1)
        shares *= (1.0 / total)[:, None]
        for term, exponent in used:
            jacobian[:, terms + exponent] += shares[:, term] * features[:, term, exponent]
        return prediction + np.log(total), jacobian.transpose(0, 2, 1)

    def predict_each(self, inputs: Array, theta: Array) -> Array:
        """The same as of every law, without a loop over replicates."""
        replicates, points, width = inputs.shape
        features = self.features(inputs.reshape(-1, width)) - self.centre_
        terms = features.shape[1]
        powers = np.repeat(theta[:, terms:], points, axis=0)
        logs = (features @ powers[..., None])[..., 0].reshape(replicates, points, terms)
        with np.errstate(over="ignore"):
            return np.asarray(np.exp(logs + theta[:, None, :terms]).sum(axis=-1))

    @classmethod
    def start_grid(cls, features: Array, target: Array) -> Array:
        """All combinations of the exponents' starts, with the mean target shared out among the terms."""
        level = float(np.log(target).mean())
        exponents = product(*(cls.exponent_starts[name] for name in cls.exponents))
        shares = np.log(_SHARES[len(cls.coefficients)])
        return np.array([(*(level + share), *powers) for powers in exponents for share in shares])

    @classmethod
    def natural(cls, theta: Array, centre: Array) -> Array:
        """Coefficients from their logs at the centre; exponents as they are."""
        terms = len(cls.coefficients)
        powers = theta[..., terms:]
        # A coefficient that the runs hardly bound may be beyond any number in a replicate.
        with np.errstate(over="ignore"):
            return np.concatenate([np.exp(theta[..., :terms] - powers @ centre.T), powers], axis=-1)

    @classmethod
    def internal(cls, natural: Array, centre: Array) -> Array:
        """Logs of the coefficients at the centre; exponents as they are."""
        terms = len(cls.coefficients)
        powers = natural[..., terms:]
        # A coefficient that is not positive has no log; who asked for it is told so.
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.concatenate([np.log(natural[..., :terms]) + powers @ centre.T, powers], axis=-1)

    def fit_projected(self, inputs: ArrayLike, target: ArrayLike, *, weight: ArrayLike = 1.0) -> Self:
        """Fit by variable projection: an outer search over the exponents alone.

        At given exponents the target is linear in the coefficients, which non-negative least squares
        gives. The problem left is far better conditioned (arXiv 2603.22339); its objective is
        ``SQUARES``, whatever the law was made with.

        Parameters
        ----------
        inputs, target, weight
            As in ``fit``.
        """
        self.objective, self.fixed_ = SQUARES, {}
        posed = self._pose(*checked_points(self, inputs, target, {}), {})
        root = np.sqrt(np.broadcast_to(np.asarray(weight, dtype=np.float64), posed.target.shape))
        starts = np.unique(self.start_grid(posed.features, posed.target)[:, len(self.coefficients) :], axis=0)
        log_terms = partial(_log_terms, posed.features)
        curve = projected_curve(log_terms, posed.features, posed.target, root)
        minima = minimise_huber(curve, starts, root * posed.target, delta=SQUARES.delta)
        coefficients = non_negative_coefficients(np.exp(log_terms(minima.parameters)), posed.target, root)
        solutions = np.concatenate([np.log(np.maximum(coefficients, _NOTHING)), minima.parameters], axis=-1)
        self._keep(posed, weight, minima, solutions, "variable projection, all starts as one batch")
        return self


def _log_terms(features: Array, exponents: Array) -> Array:
    """Logs (B, n, T) of the terms without coefficients, for exponents (B, Q)."""
    runs, terms, width = features.shape
    return (exponents @ features.reshape(-1, width).T).reshape(len(exponents), runs, terms)
