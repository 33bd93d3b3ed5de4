"""Which size to train at a compute budget, among the sizes and tokens that the runs reach."""

from dataclasses import dataclass

import numpy as np

from analysis.planner.arm import Arm
from analysis.planner.evidence import Evidence
from analysis.wording import count
from wardlaw.errors import RecordError

_GRID = 600
# Sizes whose loss is within this of the best are as good as it.
_AS_GOOD = 0.01
_ROUNDING = 1e-9


@dataclass(frozen=True)
class SizeChoice:
    """The run to make.

    Attributes
    ----------
    size, tokens : float
        With the lowest predicted loss.
    spent, unspent : float
        FLOPs that it takes, and those of the budget that it leaves since the runs reach no further.
    as_good : (float, float)
        Sizes whose predicted loss is within 1 % of the choice's.
    notes : tuple of str
        How the choice is bound, and by what.
    """

    size: float
    tokens: float
    spent: float
    unspent: float
    as_good: tuple[float, float]
    notes: tuple[str, ...]


def choose_size(arm: Arm, evidence: Evidence, compute: float, fresh: float = np.inf) -> SizeChoice:
    """The size with the lowest predicted loss at C = (FLOPs a token at N) D, inside what the runs reach.

    A size that the budget buys more tokens for than the runs have is given the runs' most, and the rest is
    left: what further tokens are worth the runs do not say. Both the size and the tokens are so continuous
    in the budget where the lowest loss is.

    Parameters
    ----------
    arm : Arm
    evidence : Evidence
    compute : float
        FLOPs of all sites.
    fresh : float
        Most tokens before patients are repeated more often than in the runs.

    Raises
    ------
    RecordError
        If the budget does not pay for the smallest size trained.
    """
    fewest, most = arm.tokens
    allowed = max(fewest, min(most, fresh))
    # With the size that takes the whole budget at the most tokens, where the loss has its corner.
    corner = evidence.size_at_cost(compute / allowed)
    size = np.sort(np.append(np.geomspace(*arm.sizes, _GRID), corner)).clip(*arm.sizes)
    cost = evidence.token_cost(size)
    tokens = np.minimum(compute / cost, allowed)
    paid = tokens >= fewest * (1 - _ROUNDING)
    if not paid.any():
        raise RecordError(
            f"{compute:.3g} FLOPs do not pay for the smallest size trained at its {fewest:.3g} tokens",
            where="--compute",
            remedy=f"Give {cost[0] * fewest:.3g} or more, or add runs of fewer tokens",
        )
    size, cost, tokens = size[paid], cost[paid], tokens[paid].clip(fewest)
    loss = arm.losses(size, tokens)
    best = int(np.argmin(loss))
    good = size[loss <= loss[best] * (1 + _AS_GOOD)]
    spent = min(float(cost[best] * tokens[best]), compute)
    unspent = compute - spent if spent < compute * (1 - _ROUNDING) else 0.0
    notes = []
    if not arm.is_joint:
        bound = "the largest size trained" if unspent and paid.all() else "the budget"
        notes.append(
            f"all runs have one token budget ({count(fewest)}): nothing says how to share compute between "
            f"size and tokens, so the budget is kept and the size is bound by {bound}"
        )
    if arm.is_joint and unspent:
        limit = "patients repeated more often than in the runs" if allowed < most else "sizes and tokens"
        notes.append(
            f"{compute:.3g} FLOPs buy more than the runs can speak for ({limit} beyond "
            f"{count(arm.sizes[1])} parameters and {count(allowed)} tokens): the choice takes {spent:.3g}, "
            f"and {unspent:.3g} are left unspent"
        )
    return SizeChoice(
        size=float(size[best]),
        tokens=float(tokens[best]),
        spent=spent,
        unspent=unspent,
        as_good=(float(good.min()), float(good.max())),
        notes=tuple(notes),
    )
