import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from simulations.audit.bounds import (
    LARGEST,
    binomial_lower,
    binomial_upper,
    clopper_pearson_epsilon,
    gaussian_epsilon,
    gdp_epsilon,
    one_run_epsilon,
    one_run_gaussian_epsilon,
    one_run_p_value,
)

HALF = 10_000


def trade_off(shift: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Guesses and right ones at the thresholds of the convex trade-off curve of two rows of quantiles."""
    others = stats.norm.ppf((np.arange(HALF) + 0.5) / HALF)
    members = others + shift
    thresholds = np.append(np.union1d(members, others), np.inf)
    points = np.stack([np.searchsorted(members, thresholds), np.searchsorted(others, thresholds)], 1)
    while True:
        sides = np.diff(points, axis=0)
        convex = sides[:-1, 1] * sides[1:, 0] > sides[1:, 1] * sides[:-1, 0]
        if convex.all():
            break
        points = points[np.r_[True, convex, True]]
    return 2 * HALF - points.sum(1), HALF - points[:, 0]


@pytest.mark.parametrize(
    ("arguments", "published"),
    [
        ((1000, 100, 90, 1.0, 1e-5), 0.0008412885614385),
        ((1000, 100, 90, 2.0, 1e-5), 0.3449868367938),
        ((1000, 200, 150, 0.5, 0.001), 0.0532917824926),
    ],
)
def test_one_run_p_values_are_the_published_ones(
    arguments: tuple[int, int, int, float, float], published: float
) -> None:
    assert one_run_p_value(*arguments) == pytest.approx(published, rel=1e-10)


def best_near(
    bound: Callable[[int, int, int, float, float], float], shift: float, guesses: int, level: float = 0.05
) -> float:
    """Largest bound at the seven thresholds around a number of guesses, corrected for all of them."""
    counts, correct = trade_off(shift)
    place = int(np.argmin(abs(counts - guesses)))
    near = slice(max(0, place - 3), place + 4)
    pairs = zip(counts[near].tolist(), correct[near].tolist(), strict=True)
    return max(bound(2 * HALF, *pair, level / len(counts), 1e-6) for pair in pairs)


@pytest.mark.parametrize(
    ("shift", "guesses", "published"), [(1, 3376, 1.13346), (2, 4666, 2.311945), (4, 8233, 4.395568)]
)
def test_one_run_bounds_are_the_published_ones(shift: int, guesses: int, published: float) -> None:
    assert best_near(one_run_epsilon, shift, guesses) == pytest.approx(published, abs=2e-6)


@pytest.mark.parametrize(
    ("shift", "guesses", "published"), [(1, 406, 2.164749), (2, 938, 4.7218075), (4, 5436, 9.133752)]
)
def test_one_run_bounds_of_gaussians_are_the_published_ones(
    shift: int, guesses: int, published: float
) -> None:
    assert best_near(one_run_gaussian_epsilon, shift, guesses) == pytest.approx(published, abs=2e-6)


def test_bounds_from_right_guesses_alone_are_those_of_the_literature() -> None:
    # All of r guesses right, twice as many canaries, delta 1e-5, level 5 %.
    found = [one_run_epsilon(2 * r, r, r, 0.05, 1e-5) for r in (10, 50, 100, 500, 1000, 5000)]
    assert found == pytest.approx([1.05, 2.78, 3.49, 5.09, 5.76, 7.14], abs=0.01)


def test_limits_of_a_rate_are_wrong_as_often_as_they_say() -> None:
    trials, rate, level = 40, 0.3, 0.05
    counts = np.arange(trials + 1)
    chance = stats.binom.pmf(counts, trials, rate)
    above = chance[binomial_upper(counts, trials, level) < rate].sum()
    below = chance[binomial_lower(counts, trials, level) > rate].sum()
    assert 0.01 < above <= level
    assert 0.01 < below <= level
    exact = stats.binomtest(12, trials).proportion_ci(1 - 2 * level)
    assert float(binomial_lower(12, trials, level)) == pytest.approx(exact.low)
    assert float(binomial_upper(12, trials, level)) == pytest.approx(exact.high)


def test_a_bound_from_two_rates_is_the_logarithm_of_their_limits() -> None:
    ends = (
        stats.binomtest(800, 1000).proportion_ci(0.95).low,
        stats.binomtest(100, 1000).proportion_ci(0.95).high,
    )
    assert clopper_pearson_epsilon(800, 1000, 100, 1000, 0.05, 0.01) == pytest.approx(
        math.log((ends[0] - 0.01) / ends[1])
    )
    assert clopper_pearson_epsilon(100, 1000, 100, 1000, 0.05, 0.0) == 0.0


def test_bounds_of_a_gaussian_mechanism_lie_below_its_epsilon_and_near_it() -> None:
    mu, trials, delta = 2.0, 10**7, 1e-5
    right = round(trials * stats.norm.sf(1.0 - mu))
    wrong = round(trials * stats.norm.sf(1.0))
    assert gaussian_epsilon(mu, delta) == pytest.approx(9.99725, abs=0.05)
    bound = gdp_epsilon(right, trials, wrong, trials, 0.05, delta)
    assert gaussian_epsilon(mu, delta) - 0.02 < bound < gaussian_epsilon(mu, delta)
    by_rates = clopper_pearson_epsilon(right, trials, wrong, trials, 0.05, delta)
    assert by_rates == pytest.approx(math.log(right / wrong), abs=0.01)


def test_guesses_no_better_than_coins_bound_nothing() -> None:
    assert one_run_epsilon(1000, 100, 50, 0.05, 1e-5) == 0.0
    assert one_run_gaussian_epsilon(1000, 100, 50, 0.05, 1e-5) == 0.0
    assert gdp_epsilon(50, 100, 50, 100, 0.05, 1e-5) == 0.0


def test_a_gaussian_with_no_noise_to_speak_of_ends_the_search() -> None:
    assert gaussian_epsilon(40.0, 1e-5) == LARGEST
