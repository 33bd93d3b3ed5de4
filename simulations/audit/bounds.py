"""Lower bounds on epsilon from an attacker's right and wrong guesses.

Each is a statistical test turned round: the largest epsilon that the guesses refute at a level of
significance. Guesses are counts, so a threshold that was chosen on the same scores needs a correction,
``significance`` over the number of thresholds, or scores of its own.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats

LARGEST = 100.0
"""Epsilon at which the search for a bound ends."""

_LEAST = 1e-9


def binomial_upper(successes: ArrayLike, trials: int, significance: float) -> NDArray[np.float64]:
    """Upper Clopper-Pearson limit of a probability: it lies above with probability ``significance``.

    Examples
    --------
    >>> round(float(binomial_upper(0, 100, 0.05)), 5)
    0.02951
    """
    successes = np.asarray(successes)
    limit = stats.beta.ppf(1 - significance, successes + 1, np.maximum(trials - successes, 1))
    return np.where(successes < trials, limit, 1.0)


def binomial_lower(successes: ArrayLike, trials: int, significance: float) -> NDArray[np.float64]:
    """Lower Clopper-Pearson limit of a probability: it lies below with probability ``significance``."""
    return 1 - binomial_upper(trials - np.asarray(successes), trials, significance)


def clopper_pearson_epsilon(
    true_positives: int, members: int, false_positives: int, others: int, significance: float, delta: float
) -> float:
    """Bound from the limits of two rates: log((TPR - delta) / FPR).

    Nasr et al., arXiv 2101.04535, section IV. The level is shared by both limits.

    Parameters
    ----------
    true_positives, members : int
        Members guessed to be members, of all.
    false_positives, others : int
        The same of those who are none.
    significance : float
        Probability that the bound is above epsilon of an (epsilon, delta)-private mechanism, at most.
    delta : float
    """
    reached = float(binomial_lower(true_positives, members, significance / 2)) - delta
    mistaken = float(binomial_upper(false_positives, others, significance / 2))
    return max(0.0, math.log(reached / mistaken)) if reached > 0 else 0.0


def gdp_epsilon(
    true_positives: int, members: int, false_positives: int, others: int, significance: float, delta: float
) -> float:
    """Bound if the mechanism is Gaussian: the limits of two rates give mu, mu gives epsilon at delta.

    Nasr et al., arXiv 2302.07956, section 4; Dong et al., arXiv 1905.02383, corollary 2.13. Sharper than
    ``clopper_pearson_epsilon``, and no bound at all if the trade-off is not that of a Gaussian
    mechanism: Poisson draws make it another.
    """
    missed = binomial_upper(members - true_positives, members, significance / 2)
    mistaken = binomial_upper(false_positives, others, significance / 2)
    mu = float(stats.norm.isf(mistaken) - stats.norm.ppf(missed))
    return gaussian_epsilon(mu, delta) if mu > 0 else 0.0


def gaussian_epsilon(mu: float, delta: float) -> float:
    """Epsilon at delta of a Gaussian mechanism whose means lie ``mu`` deviations apart.

    Examples
    --------
    >>> round(gaussian_epsilon(1.0, 1e-5), 3)
    4.377
    """

    def excess(epsilon: float) -> float:
        tail = stats.norm.cdf(mu / 2 - epsilon / mu)
        return float(tail - math.exp(epsilon + stats.norm.logcdf(-mu / 2 - epsilon / mu)) - delta)

    return _last_refuted(excess)


def one_run_p_value(canaries: int, guesses: int, correct: int, epsilon: float, delta: float) -> float:
    """Probability of so many correct guesses in one run of an (epsilon, delta)-private mechanism, at most.

    Steinke et al., arXiv 2305.08846, theorem 5.2: all canaries are in one run, each by a coin of its own.

    Parameters
    ----------
    canaries : int
        m: all, guessed or not.
    guesses, correct : int
        r, and v of them right.
    epsilon, delta : float
    """
    right = special.expit(epsilon)
    beyond = stats.binom.sf(correct - 1, guesses, right)
    fewer = np.arange(1, correct + 1)
    gained = stats.binom.sf(correct - fewer - 1, guesses, right) - beyond
    steepest = np.max(gained / fewer, initial=0.0)
    return min(1.0, float(beyond + 2 * canaries * delta * steepest))


def one_run_epsilon(canaries: int, guesses: int, correct: int, significance: float, delta: float) -> float:
    """Largest epsilon that guesses in one run refute; parameters as for ``one_run_p_value``."""
    return _last_refuted(
        lambda epsilon: significance - one_run_p_value(canaries, guesses, correct, epsilon, delta)
    )


def one_run_gaussian_epsilon(
    canaries: int, guesses: int, correct: int, significance: float, delta: float
) -> float:
    """Bound from one run if the mechanism is Gaussian, by its whole trade-off curve.

    Mahloujifar et al., arXiv 2410.22235, algorithm 3, with two outcomes a canary. Epsilon is that, at delta,
    of the least private Gaussian mechanism that is refuted.
    """

    def excess(mu: float) -> float:
        right = significance * correct / canaries
        wrong = significance * (guesses - correct) / canaries
        for remaining in range(correct - 1, -1, -1):
            least = max(wrong, float(special.ndtr(special.ndtri(right) - mu)))
            if least == wrong:
                break
            right = min(1.0, right + remaining / (guesses - remaining) * (least - wrong))
            wrong = least
        return right + wrong - guesses / canaries

    mu = _last_refuted(excess)
    return gaussian_epsilon(mu, delta) if mu else 0.0


def _last_refuted(excess: Callable[[float], float]) -> float:
    """Root of a falling function above 0, or 0 if it is not positive there."""
    upper = 1.0
    while upper < LARGEST and excess(upper) > 0:
        upper *= 2
    if excess(upper) > 0:
        return LARGEST
    return float(optimize.brentq(excess, _LEAST, upper, xtol=1e-7)) if excess(_LEAST) > 0 else 0.0
