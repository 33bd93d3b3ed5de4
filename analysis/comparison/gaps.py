"""Arms against each other: gaps at a size, and the part of a gap that federation closes."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from analysis.arrays import Array
from analysis.uncertainty.bootstrap import Resamples
from analysis.uncertainty.intervals import Interval, percentile_interval


@dataclass(frozen=True)
class Gap:
    """Loss of an arm above the reference at one size.

    Attributes
    ----------
    arm, reference : str
    parameters, tokens : int
    seeds : int
        Runs of the arm there.
    absolute : Interval
        Nats.
    percent : Interval
        Of the reference's loss.
    """

    arm: str
    reference: str
    parameters: int
    tokens: int
    seeds: int
    absolute: Interval
    percent: Interval


@dataclass(frozen=True)
class SizeMeans:
    """Mean loss of an arm at each size and token budget, with its replicates.

    Attributes
    ----------
    points : list of (parameters, tokens)
    mean : ndarray (m,)
        Geometric mean over seeds.
    replicates : ndarray (R, m) or None
    seeds : list of int
    degrees : float
        That percentiles are expanded for.
    """

    points: list[tuple[int, int]]
    mean: Array
    replicates: Array | None
    seeds: list[int]
    degrees: float

    def at(self, point: tuple[int, int]) -> Array | None:
        """Replicates (R,) at one of the points."""
        return None if self.replicates is None else self.replicates[:, self.points.index(point)]


def size_means(table: pl.DataFrame, loss: str, resamples: Resamples | None) -> SizeMeans:
    """Geometric mean loss of one arm at each of its sizes."""
    cells = table.select("parameters", "tokens").rows()
    points = sorted(set(cells))
    member = np.array([[cell == point for cell in cells] for point in points], dtype=np.float64)
    average = member / member.sum(axis=1, keepdims=True)
    mean = np.exp(average @ np.log(table[loss].to_numpy()))
    # Runs drawn whole can leave a size empty: then only curves, not sizes, have replicates.
    by_size = resamples is not None and resamples.weight.shape[0] == 1
    replicates = np.exp(np.log(resamples.target) @ average.T) if resamples is not None and by_size else None
    degrees = resamples.degrees if resamples is not None else 0
    return SizeMeans(points, mean, replicates, member.sum(axis=1).astype(int).tolist(), degrees)


def gaps(arm: str, means: SizeMeans, reference: str, of_reference: SizeMeans) -> list[Gap]:
    """Gap of an arm to the reference at every size and token budget that both have."""
    found = []
    for point in means.points:
        if point not in of_reference.points:
            continue
        place, other = means.points.index(point), of_reference.points.index(point)
        mine, theirs = float(means.mean[place]), float(of_reference.mean[other])
        absolute = Interval(mine - theirs, None, None)
        percent = Interval(100 * (mine / theirs - 1), None, None)
        drawn, drawn_reference = means.at(point), of_reference.at(point)
        if drawn is not None and drawn_reference is not None:
            degrees = min(means.degrees, of_reference.degrees)
            absolute = percentile_interval(absolute.estimate, drawn - drawn_reference, degrees)
            percent = percentile_interval(percent.estimate, 100 * (drawn / drawn_reference - 1), degrees)
        found.append(Gap(arm, reference, *point, means.seeds[place], absolute, percent))
    return found


def closed_share(
    means: SizeMeans, alone: SizeMeans, together: SizeMeans, point: tuple[int, int]
) -> Interval | None:
    """Per cent of the gap between training alone and on the union that an arm closes at ``point``.

    100 (L_alone - L_arm) / (L_alone - L_together). None where an arm has no runs there, or where
    the union's lead over training alone is within its own interval.
    """
    arms = (means, alone, together)
    if not all(point in arm.points for arm in arms):
        return None
    ours, local, central = (float(arm.mean[arm.points.index(point)]) for arm in arms)
    if local <= central:
        return None
    estimate = 100 * (local - ours) / (local - central)
    drawn = [arm.at(point) for arm in arms]
    if any(replicates is None for replicates in drawn):
        return Interval(estimate, None, None)
    of_arm, of_local, of_central = (np.asarray(replicates) for replicates in drawn)
    degrees = min(arm.degrees for arm in arms)
    if not percentile_interval(local - central, of_local - of_central, degrees).excludes_zero:
        return None
    return percentile_interval(estimate, 100 * (of_local - of_arm) / (of_local - of_central), degrees)
