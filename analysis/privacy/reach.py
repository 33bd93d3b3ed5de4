"""Where on a private surface a training that was not run lies, and whether its runs reach there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from analysis.privacy.statements import Setting
from analysis.privacy.surface import PrivateSurface


@dataclass(frozen=True)
class Place:
    """Budget and batch at which a law is read for a setting.

    Attributes
    ----------
    letters : dict of str to float
        D, T and P.
    batch_told : bool
        Whether P is the setting's: a law of S alone is read at the batch of its runs.
    extrapolated : str
        What lies how far beyond the runs; empty where nothing does.
    """

    letters: Mapping[str, float]
    batch_told: bool
    extrapolated: str


def place_of(surface: PrivateSurface, setting: Setting, *, extrapolate: bool) -> Place | str:
    """Where a fitted surface is read for a setting, or the reason why it is not.

    Parameters
    ----------
    surface : PrivateSurface
    setting : Setting
    extrapolate : bool
        Whether to go beyond the steps and patients a step that were run.
    """
    steps, batch = setting.steps, setting.batch_patients
    known = surface.private.filter(pl.col("batch_patients").is_not_null())
    nearest = min(surface.batches, key=lambda drawn: abs(np.log(drawn / batch)))
    beyond = _beyond(steps, sorted(known["steps"].unique()), "steps")
    if surface.one_budget and beyond:
        return f"all runs have {known['steps'][0]:,} steps: what {steps:,} cost cannot be told"
    if surface.reads_batch:
        beyond += _beyond(batch, surface.batches, "patients a step")
    if beyond and not extrapolate:
        return f"{beyond[0]} (--extrapolate reads the law there)"
    used = batch if surface.reads_batch else nearest
    of_batch = known.filter(pl.col("batch_patients") == nearest)
    tokens = (of_batch["tokens"] / of_batch["steps"] / of_batch["batch_patients"]).to_numpy()
    letters = {"D": float(np.median(tokens)) * steps * used, "T": float(steps), "P": float(used)}
    return Place(letters, used == batch, "; ".join(beyond))


def _beyond(value: int, run: Sequence[int], what: str) -> list[str]:
    """By how much a value lies outside those that were run."""
    if run[0] <= value <= run[-1]:
        return []
    times, side = (
        (value / run[-1], "above the most") if value > run[-1] else (run[0] / value, "below the fewest")
    )
    return [
        f"{value:,} {what} are {times:.3g} times {side} that were run, {run[-1 if value > run[-1] else 0]:,}"
    ]
