"""Approach 1 of arXiv 2203.15556: the lower envelope of loss curves over compute."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from analysis.isoflop.power_laws import Line, PowerLaws
from analysis.solvers.damped_newton import Array
from wardlaw.errors import RecordError
from wardlaw.seeds import generator

NAME = "1: envelope"
POINTS = 1500
"""Log-spaced compute values, as in section 3.1."""

_CURVES = 5
_WINNERS = 3
_CHUNK = 100


@dataclass(frozen=True)
class Curves:
    """K loss curves at G values of compute, in straight lines between their points in the logs.

    Attributes
    ----------
    log_compute : ndarray (G,)
    log_size : ndarray (K,)
        Ascending.
    log_tokens, log_loss : ndarray (K, G)
        Infinite loss outside a curve's own compute.
    """

    log_compute: Array
    log_size: Array
    log_tokens: Array
    log_loss: Array


def fit_envelope(rows: pl.DataFrame, *, replicates: int, seed: int) -> PowerLaws:
    """Power laws of the size and the tokens of whichever curve is lowest at each compute.

    A curve is a run with its checkpoints or, where runs have none, one size at its several budgets. A
    compute counts only where smaller and larger curves reach it too: elsewhere the lowest is that of the
    smallest or the largest size for want of others. Replicates draw whole curves.

    Parameters
    ----------
    rows : polars.DataFrame
        ``run``, C, N, D and L, all positive.
    replicates, seed : int
        Of the bootstrap.

    Raises
    ------
    RecordError
        If the table has no such curves, or too few of them are ever the lowest.
    """
    curves = interpolate_curves(rows)
    count = len(curves.log_size)
    winner, counts = envelope(curves, np.ones((1, count), dtype=np.bool_))
    winners = len(np.unique(curves.log_size[winner[counts]]))
    if winners < _WINNERS:
        raise RecordError(
            f"{winners} sizes between the smallest and the largest are ever the lowest; the envelope needs "
            f"{_WINNERS}"
        )
    centre = float(curves.log_compute[counts[0]].mean())
    drawn = generator(seed, "envelope").multinomial(count, np.full(count, 1 / count), size=replicates) > 0
    parts = [_regress(curves, *envelope(curves, part), centre) for part in _parts(drawn)]
    replicated = np.concatenate(parts, axis=1)
    # A draw whose envelope is that of one size alone has no slope.
    replicated = replicated[:, np.isfinite(replicated).all(axis=(0, 2))]
    size, tokens = (
        Line(float(slope), float(level), sampled[:, 0], sampled[:, 1], centre, count - 1)
        for ((slope, level),), sampled in zip(
            _regress(curves, winner, counts, centre), replicated, strict=True
        )
    )
    return PowerLaws(NAME, size, tokens, points=int(counts.sum()))


def interpolate_curves(rows: pl.DataFrame) -> Curves:
    """Loss curves of a table's runs, or of its sizes.

    Raises
    ------
    RecordError
        If fewer than five have two points.
    """
    by = "run" if rows["run"].n_unique() < len(rows) else "N"
    logs = rows.select(pl.col(by).alias("curve"), *(pl.col(name).cast(pl.Float64).log() for name in "NDCL"))
    # Seeds at one compute are one point of their size's curve.
    points = logs.group_by("curve", "C").agg(pl.col("N", "D", "L").mean()).sort("N", "C")
    curves = [curve for _, curve in points.group_by("curve", maintain_order=True) if len(curve) > 1]
    if len(curves) < _CURVES:
        trained = "runs have checkpoints" if by == "run" else "sizes were trained"
        raise RecordError(f"{len(curves)} {trained} at two computes or more; the envelope needs {_CURVES}")
    compute = np.concatenate([curve["C"].to_numpy() for curve in curves])
    grid = np.linspace(compute.min(), compute.max(), POINTS)
    return Curves(
        log_compute=grid,
        log_size=np.array([curve["N"][0] for curve in curves]),
        log_tokens=np.stack([np.interp(grid, curve["C"], curve["D"]) for curve in curves]),
        log_loss=np.stack(
            [np.interp(grid, curve["C"], curve["L"], left=np.inf, right=np.inf) for curve in curves]
        ),
    )


def envelope(curves: Curves, drawn: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The lowest of the drawn curves at each compute, and whether that compute counts.

    Parameters
    ----------
    curves : Curves
    drawn : ndarray (R, K) of bool

    Returns
    -------
    winner : ndarray (R, G) of int
    counts : ndarray (R, G) of bool
        Whether a smaller and a larger size were drawn that reach the compute.
    """
    order = np.argsort(curves.log_loss, axis=0)
    rank = drawn[:, order].argmax(axis=1)
    winner = order[rank, np.arange(order.shape[1])]
    reaching = drawn[..., None] & np.isfinite(curves.log_loss)
    smallest = curves.log_size[reaching.argmax(axis=1)]
    largest = curves.log_size[::-1][reaching[:, ::-1].argmax(axis=1)]
    size = curves.log_size[winner]
    return winner, reaching.any(axis=1) & (smallest < size) & (size < largest)


def _regress(curves: Curves, winner: NDArray[np.int64], counts: NDArray[np.bool_], centre: float) -> Array:
    """Slope and level of the log size and the log tokens of the winners: (2, R, 2); NaN without a slope."""
    grid = np.arange(len(curves.log_compute))
    values = np.stack([curves.log_size[winner], curves.log_tokens[winner, grid]])
    number = counts.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = counts @ curves.log_compute / number
        off = counts * (curves.log_compute - mean[:, None])
        slope = (values * off).sum(axis=-1) / (off**2).sum(axis=-1)
        level = (values * counts).sum(axis=-1) / number + slope * (centre - mean)
    return np.stack([slope, level], axis=-1)


def _parts(drawn: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Pieces of the replicates that fit the memory."""
    return [drawn[start : start + _CHUNK] for start in range(0, len(drawn), _CHUNK)]
