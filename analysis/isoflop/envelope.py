"""Approach 1 of arXiv 2203.15556: the lower envelope of loss curves over compute."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from analysis.arrays import Array
from analysis.isoflop.curve_noise import redraw_curves, spare_curves
from analysis.isoflop.curves import Curves, interpolate_curves
from analysis.isoflop.power_laws import Line, PowerLaws
from wardlaw.errors import RecordError

NAME = "1: envelope"
_WINNERS = 3


def fit_envelope(rows: pl.DataFrame, *, replicates: int, seed: int) -> PowerLaws:
    """Power laws of the size and the tokens of whichever curve is lowest at each compute.

    A curve is a run with its checkpoints or, where runs have none, one size at its several budgets. A
    compute counts only where smaller and larger curves reach it too: elsewhere the lowest is that of the
    smallest or the largest size for want of others. Replicates are those of ``curve_noise.py``.

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
    winner, counts = envelope(curves, curves.log_loss[None])
    winners = len(np.unique(curves.log_size[winner[counts]]))
    if winners < _WINNERS:
        raise RecordError(
            f"{winners} sizes between the smallest and the largest are ever the lowest; the envelope needs "
            f"{_WINNERS}"
        )
    centre = float(curves.log_compute[counts[0]].mean())
    redrawn = redraw_curves(curves, replicates, seed)
    replicated = np.concatenate(
        [_regress(curves, *envelope(curves, log_loss), centre) for log_loss in redrawn], axis=1
    )
    # A draw whose envelope is that of one size alone has no slope.
    replicated = replicated[:, np.isfinite(replicated).all(axis=(0, 2))]
    degrees = spare_curves(curves)
    size, tokens = (
        Line(float(slope), float(level), sampled[:, 0], sampled[:, 1], centre, degrees)
        for ((slope, level),), sampled in zip(
            _regress(curves, winner, counts, centre), replicated, strict=True
        )
    )
    return PowerLaws(NAME, size, tokens, points=int(counts.sum()))


def envelope(curves: Curves, log_loss: Array) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The lowest curve at each compute, and whether that compute counts.

    Parameters
    ----------
    curves : Curves
    log_loss : ndarray (R, K, G)
        Of the curves or their replicates; infinite outside a curve's own compute.

    Returns
    -------
    winner : ndarray (R, G) of int
    counts : ndarray (R, G) of bool
        Whether a smaller and a larger size reach the compute.
    """
    reaching = np.isfinite(curves.log_loss)
    smallest = np.where(reaching, curves.log_size[:, None], np.inf).min(axis=0)
    largest = np.where(reaching, curves.log_size[:, None], -np.inf).max(axis=0)
    winner = log_loss.argmin(axis=1)
    size = curves.log_size[winner]
    return winner, (smallest < size) & (size < largest)


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
