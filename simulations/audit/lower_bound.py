"""How large epsilon is at least, from the scores of canaries."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulations.audit.bounds import clopper_pearson_epsilon, one_run_epsilon
from simulations.audit.verdict import THRESHOLDS, Direction, guesses, limits, sides

_DIRECTIONS: tuple[Direction, ...] = ("remove", "add")


@dataclass(frozen=True)
class LowerBounds:
    """Bounds on epsilon at a delta; each is too high with the probability asked for, at most.

    Attributes
    ----------
    two_rates : float
        From the limits of two rates, for independent canaries (arXiv 2101.04535).
    one_run : float
        From the number of right guesses, for canaries of one run, independent or not (arXiv 2305.08846).
    """

    two_rates: float
    one_run: float


def lower_bounds(
    members: NDArray[np.float64], others: NDArray[np.float64], delta: float, significance: float = 0.01
) -> LowerBounds:
    """Bounds by the threshold that does best on every second score, from the rest.

    Parameters are those of ``simulations.audit.verdict.judge``.
    """
    direction, threshold = _best_guess(members[::2], others[::2], delta, significance)
    high, low = sides(members[1::2], others[1::2], direction)
    right, wrong = (int(guesses(side, np.array([threshold]), direction)[0]) for side in (high, low))
    return LowerBounds(
        clopper_pearson_epsilon(right, len(high), wrong, len(low), significance, delta),
        one_run_epsilon(len(high) + len(low), right + wrong, right, significance, delta),
    )


def _best_guess(
    members: NDArray[np.float64], others: NDArray[np.float64], delta: float, significance: float
) -> tuple[Direction, float]:
    thresholds = np.quantile(np.concatenate([members, others]), np.linspace(0, 1, THRESHOLDS))
    ratios = []
    for direction in _DIRECTIONS:
        often, seldom = limits(members, others, thresholds, direction, significance)
        ratios.append((often - delta) / seldom)
    best, place = np.unravel_index(np.argmax(ratios), (len(_DIRECTIONS), len(thresholds)))
    return _DIRECTIONS[best], float(thresholds[place])
