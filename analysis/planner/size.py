"""Which size to train at a compute budget."""

from dataclasses import dataclass

import numpy as np

from analysis.planner.evidence import Arm, Evidence
from analysis.solvers.damped_newton import Array
from analysis.uncertainty.intervals import Interval
from analysis.wording import count
from wardlaw.errors import RecordError

_GRID = 600
# How far beyond the sizes trained an optimum is looked for, to be told and not to be trusted.
_BEYOND = 30.0
# Sizes whose loss is within this of the best are as good as it.
_AS_GOOD = 0.01


@dataclass(frozen=True)
class SizeChoice:
    """The size to train, and what the law alone would say.

    Attributes
    ----------
    size, tokens : float
        Of the run to make: the best among sizes and budgets that the runs reach.
    optimum : Interval
        Size that the law is lowest at, wherever it is; an end is None where the replicates' optimum
        runs off the sizes looked at.
    as_good : (float, float)
        Sizes, among those, whose predicted loss is within 1 % of the choice's.
    notes : tuple of str
        How the choice is bound, and by what.
    """

    size: float
    tokens: float
    optimum: Interval
    as_good: tuple[float, float]
    notes: tuple[str, ...]


def choose_size(arm: Arm, evidence: Evidence, compute: float) -> SizeChoice:
    """The size with the lowest predicted loss at C = (FLOPs a token at N) D.

    Parameters
    ----------
    arm : Arm
        The federated arm.
    evidence : Evidence
    compute : float
        FLOPs of all sites.

    Raises
    ------
    RecordError
        If the budget does not pay for the smallest size trained.
    """
    return _along_budget(arm, evidence, compute) if arm.is_joint else _at_one_budget(arm, evidence, compute)


def _along_budget(arm: Arm, evidence: Evidence, compute: float) -> SizeChoice:
    smallest, largest = arm.sizes
    size = np.geomspace(smallest / _BEYOND, largest * _BEYOND, _GRID)
    tokens = compute / evidence.token_cost(size)
    loss, replicates = arm.losses(size, tokens)
    best = int(np.argmin(loss))
    optimum = Interval(float(size[best]), None, None)
    if replicates is not None and arm.fit.resamples is not None:
        lowest = np.argmin(replicates, axis=1)
        drawn = arm.fit.resamples.interval(float(size[best]), size[lowest])
        ends = _GRID - 1
        optimum = Interval(
            drawn.estimate,
            drawn.low if (lowest > 0).mean() > 0.975 else None,
            drawn.high if (lowest < ends).mean() > 0.975 else None,
        )
    reached = (size >= smallest * 0.999) & (size <= largest * 1.001)
    budget = (tokens >= arm.tokens[0] * 0.999) & (tokens <= arm.tokens[1] * 1.001)
    inside = reached & budget if (reached & budget).any() else reached
    notes = []
    if not (reached & budget).any():
        notes.append(_off_budget(arm, tokens[reached]))
    chosen = np.flatnonzero(inside)[int(np.argmin(loss[inside]))]
    if not inside[best]:
        notes.append(
            f"the law is lowest at {count(size[best])} parameters and {count(tokens[best])} tokens, outside "
            f"what was trained (to {count(arm.sizes[1])} and {count(arm.tokens[1])}); the choice is the best "
            "inside"
        )
    good = size[inside & (loss <= loss[chosen] * (1 + _AS_GOOD))]
    return SizeChoice(
        float(size[chosen]),
        float(tokens[chosen]),
        optimum,
        (float(good.min()), float(good.max())),
        tuple(notes),
    )


def _at_one_budget(arm: Arm, evidence: Evidence, compute: float) -> SizeChoice:
    tokens = arm.tokens[0]
    size = np.geomspace(*arm.sizes, _GRID)
    paid = size[evidence.token_cost(size) * tokens <= compute]
    if not len(paid):
        needed = float(evidence.token_cost(size[:1])[0] * tokens)
        raise RecordError(
            f"{compute:.3g} FLOPs do not pay for the smallest size trained at its {tokens:.3g} tokens",
            where="--compute",
            remedy=f"Give {needed:.3g} or more, or add runs of fewer tokens",
        )
    loss = arm.losses(paid, np.full_like(paid, tokens))[0]
    chosen = int(np.argmin(loss))
    good = paid[loss <= loss[chosen] * (1 + _AS_GOOD)]
    bound = "the budget" if len(paid) < len(size) else "the largest size trained"
    return SizeChoice(
        float(paid[chosen]),
        tokens,
        Interval(float(paid[chosen]), None, None),
        (float(good.min()), float(good.max())),
        (
            f"all runs have one token budget ({count(tokens)}): nothing says how to share compute between "
            f"size and tokens, so the budget is kept and the size is bound by {bound}",
        ),
    )


def _off_budget(arm: Arm, tokens: Array) -> str:
    side = "more" if tokens.min() > arm.tokens[1] else "fewer"
    return (
        f"every size trained would see {side} tokens ({count(tokens.min())} to {count(tokens.max())}) than "
        f"in the runs ({count(arm.tokens[0])} to {count(arm.tokens[1])}): its loss is extrapolated"
    )
