"""Where a law alone is lowest at a compute budget: to be told, and not to be trusted beyond the runs."""

import numpy as np

from analysis.planner.arm import Arm
from analysis.planner.evidence import Evidence
from analysis.uncertainty.intervals import Interval

_GRID = 600
# How far beyond the sizes trained it is looked for.
_BEYOND = 30.0
# Share of the replicates that must have their lowest point away from an end.
_ENOUGH = 0.975


def law_optimum(arm: Arm, evidence: Evidence, compute: float) -> Interval | None:
    """Size of the lowest loss at C = (FLOPs a token at N) D, wherever it is.

    Returns
    -------
    Interval or None
        An end is None where the replicates' optimum runs off the sizes looked at. None where the law
        has no lowest size there: one token budget, or a loss that falls to an end.
    """
    if not arm.is_joint:
        return None
    size = np.geomspace(arm.sizes[0] / _BEYOND, arm.sizes[1] * _BEYOND, _GRID)
    tokens = compute / evidence.token_cost(size)
    best = int(np.argmin(arm.losses(size, tokens)))
    if best in (0, _GRID - 1):
        return None
    replicates = arm.replicates(size, tokens)
    if replicates is None or arm.fit.resamples is None:
        return Interval(float(size[best]), None, None)
    lowest = np.argmin(replicates, axis=1)
    drawn = arm.fit.resamples.interval(float(size[best]), size[lowest])
    return Interval(
        drawn.estimate,
        drawn.low if (lowest > 0).mean() > _ENOUGH else None,
        drawn.high if (lowest < _GRID - 1).mean() > _ENOUGH else None,
    )
