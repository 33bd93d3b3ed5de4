"""Variable projection: regressions that are linear in some parameters, without those parameters.

After Golub and Pereyra, SIAM Journal on Numerical Analysis 10, 1973, with the Jacobian of Kaufman,
BIT 15, 1975, whose gradient is exact since the residual is orthogonal to the terms.
"""

from collections.abc import Callable
from itertools import chain, combinations

import numpy as np

from analysis.arrays import Array
from analysis.solvers.local_model import Curve


def projected_curve(
    log_terms: Callable[[Array], Array], features: Array, target: Array, root_weight: Array
) -> Curve:
    """The best weighted prediction at given exponents, with its Jacobian in them alone.

    Parameters
    ----------
    log_terms : callable
        Exponents (B, Q) to the logs (B, n, T) of the terms without coefficients.
    features : ndarray (n, T, Q)
        Derivatives of those logs.
    target, root_weight : ndarray (n,)
        Targets, and square roots of the runs' weights.
    """

    # Exponents so steep that a term overflows give no prediction, and a minimiser steps back from them.
    @np.errstate(over="ignore", invalid="ignore")
    def curve(exponents: Array) -> tuple[Array, Array]:
        terms = np.exp(log_terms(exponents))
        coefficients = non_negative_coefficients(terms, target, root_weight)
        parts = terms * coefficients[:, None, :] * root_weight[:, None]
        slope = np.einsum("bnt,ntq->bnq", parts, features)
        # Terms without part have no say in what can be projected away.
        basis = np.linalg.qr(np.where(coefficients[:, None, :] > 0, parts, 0.0))[0]
        basis = np.where(np.linalg.norm(parts, axis=1)[:, None, :] > 0, basis, 0.0)
        return parts.sum(-1), slope - basis @ (basis.transpose(0, 2, 1) @ slope)

    return curve


def non_negative_coefficients(terms: Array, target: Array, root_weight: Array) -> Array:
    """Non-negative least squares over the coefficients of a few terms, exactly.

    Every subset of terms is solved; of those whose coefficients are all positive the best is the
    optimum (Lawson and Hanson 1974, chapter 23).

    Parameters
    ----------
    terms : ndarray (B, n, T)
    target, root_weight : ndarray (n,)

    Returns
    -------
    ndarray (B, T)
    """
    rows, _, width = terms.shape
    weighted, measured = terms * root_weight[:, None], target * root_weight
    # Columns of one length: a steep power may be astronomically small.
    length = np.linalg.norm(weighted, axis=1)
    usable = np.isfinite(length) & (length > 0)
    scaled = np.where(usable[:, None, :], weighted / np.where(usable, length, 1.0)[:, None, :], 0.0)
    best, coefficients = np.full(rows, np.inf), np.zeros((rows, width))
    subsets = chain.from_iterable(combinations(range(width), size) for size in range(1, width + 1))
    for subset in map(list, subsets):
        basis, triangle = np.linalg.qr(scaled[:, :, subset])
        regular = np.abs(np.einsum("bii->bi", triangle)).min(-1) > 1e-14
        triangle = np.where(regular[:, None, None], triangle, np.eye(len(subset)))
        right = np.einsum("bnt,n->bt", basis, measured)
        found = np.linalg.solve(triangle, right[..., None])[..., 0]
        left = measured - np.einsum("bnt,bt->bn", scaled[:, :, subset], found)
        squares = (left**2).sum(-1)
        better = regular & (found > 0).all(-1) & usable[:, subset].all(-1) & (squares < best)
        best[better] = squares[better]
        coefficients[better] = 0.0
        coefficients[np.ix_(better, subset)] = found[better] / length[better][:, subset]
    return coefficients
