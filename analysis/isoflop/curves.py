"""Loss curves over compute, at the same values of it."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from analysis.arrays import Array
from wardlaw.errors import RecordError

_POINTS = 1500
"""Log-spaced compute values, as in section 3.1 of arXiv 2203.15556."""

_CURVES = 5


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
    grid = np.linspace(compute.min(), compute.max(), _POINTS)
    return Curves(
        log_compute=grid,
        log_size=np.array([curve["N"][0] for curve in curves]),
        log_tokens=np.stack([np.interp(grid, curve["C"], curve["D"]) for curve in curves]),
        log_loss=np.stack(
            [np.interp(grid, curve["C"], curve["L"], left=np.inf, right=np.inf) for curve in curves]
        ),
    )
