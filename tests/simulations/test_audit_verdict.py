import numpy as np
from scipy import stats

from simulations.audit.lower_bound import lower_bounds
from simulations.audit.profile import Profile, claimed_profile
from simulations.audit.verdict import judge
from wardlaw.privacy.events import Gaussian, PoissonGaussian

EPSILONS = np.linspace(0.0, 6.0, 61)


def gaussian_delta(mu: float) -> np.ndarray:
    """Balle & Wang, arXiv 1805.06530, theorem 8."""
    return stats.norm.cdf(mu / 2 - EPSILONS / mu) - np.exp(EPSILONS) * stats.norm.cdf(-mu / 2 - EPSILONS / mu)


def hockey_stick(upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    return np.array([np.maximum(upper - np.exp(epsilon) * lower, 0).sum() for epsilon in EPSILONS])


def test_profile_of_gaussian_releases_is_the_analytic_one_in_both_directions() -> None:
    claim = claimed_profile([Gaussian(2.0, 3), Gaussian(4.0, 4)], EPSILONS)
    exact = gaussian_delta(np.sqrt(3 / 4 + 4 / 16))
    np.testing.assert_allclose(claim.remove, exact, atol=1e-3)
    np.testing.assert_allclose(claim.add, exact, atol=1e-3)
    assert (claim.remove >= exact - 1e-9).all()


def test_profile_of_poisson_draws_is_that_of_the_mixture_each_way() -> None:
    rate, noise = 0.2, 0.5
    grid = np.linspace(-6, 7, 200_001)
    width = grid[1] - grid[0]
    without = stats.norm.pdf(grid, 0, noise) * width
    inside = rate * stats.norm.pdf(grid, 1, noise) * width + (1 - rate) * without
    claim = claimed_profile([PoissonGaussian(rate, noise, 1)], EPSILONS)
    np.testing.assert_allclose(claim.remove, hockey_stick(inside, without), atol=1e-4)
    np.testing.assert_allclose(claim.add, hockey_stick(without, inside), atol=1e-4)
    # Absence is never certain: beyond -log(1 - q) nothing is left.
    assert claim.add[EPSILONS > 0.23].max() < 1e-9
    assert claim.remove[EPSILONS > 0.23].max() > 0.1


def normal_claim(mu: float) -> Profile:
    return Profile(EPSILONS, gaussian_delta(mu), gaussian_delta(mu))


def test_a_claim_is_refuted_by_scores_further_apart_and_by_no_others() -> None:
    rng = np.random.Generator(np.random.PCG64(5))
    members, others = rng.normal(1.0, 1.0, 2000), rng.normal(0.0, 1.0, 2000)
    assert judge(members, others, normal_claim(0.6)).refuted
    assert not judge(members, others, normal_claim(1.0)).refuted


def test_lower_bounds_are_above_nothing_and_below_the_truth() -> None:
    rng = np.random.Generator(np.random.PCG64(8))
    members, others = rng.normal(2.0, 1.0, 20_000), rng.normal(0.0, 1.0, 20_000)
    bounds = lower_bounds(members, others, 1e-5)
    # A Gaussian mechanism of mu = 2 has epsilon 9.997 at this delta.
    assert 2.0 < bounds.one_run < 9.9
    assert 3.0 < bounds.two_rates < 9.9
    # Turned round, absence is what shows, and the bound is the same to chance.
    turned = lower_bounds(-others, -members, 1e-5)
    assert abs(turned.two_rates - bounds.two_rates) < 1.0
    assert lower_bounds(others[::2], others[1::2], 1e-5).two_rates < 0.3


def test_each_direction_is_held_against_its_own_delta() -> None:
    rng = np.random.Generator(np.random.PCG64(6))
    members, others = rng.normal(1.0, 1.0, 2000), rng.normal(0.0, 1.0, 2000)
    right, small = gaussian_delta(1.0), gaussian_delta(0.5)
    assert judge(members, others, Profile(EPSILONS, right, small)).rule.direction == "add"
    assert judge(members, others, Profile(EPSILONS, right, small)).refuted
    assert judge(members, others, Profile(EPSILONS, small, right)).rule.direction == "remove"
    assert judge(members, others, Profile(EPSILONS, small, right)).refuted


def test_a_true_claim_is_refuted_no_more_often_than_stated() -> None:
    rng = np.random.Generator(np.random.PCG64(7))
    claim = normal_claim(1.0)
    alarms = [
        judge(rng.normal(1.0, 1.0, 200), rng.normal(0.0, 1.0, 200), claim, false_alarm=0.2).refuted
        for _ in range(200)
    ]
    # 4 are seen; a claim that is 20 % short has 24.
    assert sum(alarms) <= 12
