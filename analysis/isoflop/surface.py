"""Approach 3 of arXiv 2203.15556: the optimum of a fitted Chinchilla surface, in closed form."""

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from analysis.arrays import Array
from analysis.fits.fit import Fit, fit_sample
from analysis.isoflop.budgets import FLOPS_PER_TOKEN
from analysis.isoflop.power_laws import Line, PowerLaws
from analysis.laws.chinchilla import Chinchilla
from analysis.tables.sample import take_sample
from analysis.uncertainty.intervals import LEVEL
from wardlaw.errors import RecordError

NAME = "3: surface"

_TERMS = ("A", "B", "alpha", "beta")
_POSSIBLE = 0.5 + LEVEL / 2


def fit_surface(rows: pl.DataFrame, *, replicates: int, seed: int) -> Fit:
    """The Chinchilla law fitted to all runs, with its bootstrap.

    Raises
    ------
    RecordError
        If the runs cannot determine it.
    """
    sample = take_sample(rows, Chinchilla.inputs, "L")
    # Replicates of runs that hardly determine a term run off to infinity; their intervals show it.
    with np.errstate(over="ignore", invalid="ignore"):
        return fit_sample(Chinchilla(), sample, replicates=replicates, seed=seed)


def surface_laws(fit: Fit) -> PowerLaws:
    """N* = G (C / 6)^a and D* = (C / 6)^b / G (equation 4), with the replicates of the fit.

    a = beta / (alpha + beta), b = alpha / (alpha + beta) and G = (alpha A / (beta B))^(1 / (alpha + beta)).
    There is no interval where more replicates have no optimum than lie beyond an end of it.

    Raises
    ------
    RecordError
        If the surface has no optimum: one of its terms does not fall, or is not there.
    """
    a, log_g = (float(value) for value in _closed_form(fit.law.params_))
    if not np.isfinite(log_g):
        found = ", ".join(f"{name} = {fit.law.params_[name]:.3g}" for name in _TERMS)
        raise RecordError(f"the fitted surface has no optimum: {found}")
    slopes, levels, degrees = None, None, 0.0
    if fit.theta is not None and fit.resamples is not None:
        drawn = np.stack(_closed_form(fit.law.named(fit.theta)))
        possible = np.isfinite(drawn).all(axis=0)
        if possible.mean() > _POSSIBLE:
            (slopes, levels), degrees = drawn[:, possible], fit.resamples.degrees
    centre = float(np.log(FLOPS_PER_TOKEN))
    size = Line(a, log_g, slopes, levels, centre, degrees)
    tokens = Line(
        slope=1 - a,
        level=-log_g,
        slopes=None if slopes is None else 1 - slopes,
        levels=None if levels is None else -levels,
        centre=centre,
        degrees=degrees,
    )
    return PowerLaws(NAME, size, tokens, points=fit.sample.rows)


def _closed_form(params: Mapping[str, ArrayLike]) -> tuple[Array, Array]:
    """Exponent a and log G of the optimal size on surfaces with A, B, alpha and beta; NaN without one."""
    size_term, token_term, alpha, beta = (np.asarray(params[name], dtype=np.float64) for name in _TERMS)
    total = alpha + beta
    falls = (alpha > 0) & (beta > 0) & (size_term > 0) & (token_term > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_g = (np.log(alpha / beta) + np.log(size_term) - np.log(token_term)) / total
        return np.where(falls, beta / total, np.nan), np.where(falls, log_g, np.nan)
