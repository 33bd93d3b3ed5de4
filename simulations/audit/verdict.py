"""Whether what was seen of members and of others can be true of the mechanism that is claimed."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from simulations.audit.bounds import binomial_lower, binomial_upper
from simulations.audit.profile import Profile

THRESHOLDS = 400

Direction = Literal["remove", "add"]


@dataclass(frozen=True)
class Rule:
    """A guess of membership by a threshold, and the epsilon at which it is held against a claim.

    Attributes
    ----------
    direction : {"remove", "add"}
        ``remove`` counts scores at or above the threshold and asks whether members have too many;
        ``add`` counts those below and asks it of those who are none.
    threshold : float
    epsilon : float
    delta : float
        What the claim allows beyond e^epsilon.
    """

    direction: Direction
    threshold: float
    epsilon: float
    delta: float


@dataclass(frozen=True)
class Verdict:
    """Outcome of an audit.

    Attributes
    ----------
    rule : Rule
        Chosen on one half of the scores, judged on the other.
    right, of : int
        Guesses that a rule of either direction should make often, and how many there could be: members
        called members, or others called others.
    wrong, among : int
        The same guess where it is wrong.
    false_alarm : float
        Probability at most that what follows is unjust to the mechanism.
    """

    rule: Rule
    right: int
    of: int
    wrong: int
    among: int
    false_alarm: float

    @property
    def excess(self) -> float:
        """By how much the claim's inequality is broken at the least; negative if it may hold."""
        often = float(binomial_lower(self.right, self.of, self.false_alarm / 2))
        seldom = float(binomial_upper(self.wrong, self.among, self.false_alarm / 2))
        return often - math.exp(self.rule.epsilon) * seldom - self.rule.delta

    @property
    def refuted(self) -> bool:
        """Whether the claim is false, at the audit's level of false alarms."""
        return self.excess > 0


def judge(
    members: NDArray[np.float64], others: NDArray[np.float64], claim: Profile, false_alarm: float = 0.01
) -> Verdict:
    """Hold scores against a claimed profile, in both directions.

    A rule is chosen on every second score, and judged on the rest by the Clopper-Pearson limits of two
    rates: one test, whatever was tried before. An audit of a mechanism that is what it claims refutes it with
    probability ``false_alarm`` at most.

    Parameters
    ----------
    members, others : (n,), (m,) float64, at least 2 each
        Scores of canaries that were in the training set and that were not; high means member. They are
        independent and in no order.
    claim : Profile
    false_alarm : float
    """
    rule = choose_rule(members[::2], others[::2], claim, false_alarm)
    high, low = sides(members[1::2], others[1::2], rule.direction)
    threshold = np.array([rule.threshold])
    right, wrong = (int(guesses(side, threshold, rule.direction)[0]) for side in (high, low))
    return Verdict(rule, right, len(high), wrong, len(low), false_alarm)


def choose_rule(
    members: NDArray[np.float64], others: NDArray[np.float64], claim: Profile, false_alarm: float
) -> Rule:
    """The rule with the largest excess on these scores."""
    pooled = np.concatenate([members, others])
    thresholds = np.quantile(pooled, np.linspace(0, 1, THRESHOLDS))
    best, excess = None, -np.inf
    directions: tuple[tuple[Direction, NDArray[np.float64]], ...] = (
        ("remove", claim.remove),
        ("add", claim.add),
    )
    for direction, deltas in directions:
        often, seldom = limits(members, others, thresholds, direction, false_alarm)
        excesses = often[:, None] - np.exp(claim.epsilons) * seldom[:, None] - deltas
        place, at = np.unravel_index(np.argmax(excesses), excesses.shape)
        if excesses[place, at] > excess:
            excess = excesses[place, at]
            best = Rule(direction, float(thresholds[place]), float(claim.epsilons[at]), float(deltas[at]))
    assert best is not None
    return best


def limits(
    members: NDArray[np.float64],
    others: NDArray[np.float64],
    thresholds: NDArray[np.float64],
    direction: Direction,
    significance: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower limit of the rate that should be high and upper limit of the other, for each threshold."""
    high, low = sides(members, others, direction)
    lower = binomial_lower(guesses(high, thresholds, direction), len(high), significance / 2)
    upper = binomial_upper(guesses(low, thresholds, direction), len(low), significance / 2)
    return lower, upper


def sides(
    members: NDArray[np.float64], others: NDArray[np.float64], direction: Direction
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Those of whom a rule's guess is right, and those of whom it is wrong."""
    return (members, others) if direction == "remove" else (others, members)


def guesses(
    scores: NDArray[np.float64], thresholds: NDArray[np.float64], direction: Direction
) -> NDArray[np.int64]:
    """Guesses that a rule makes, for each threshold."""
    below = np.searchsorted(np.sort(scores), thresholds)
    return len(scores) - below if direction == "remove" else below
