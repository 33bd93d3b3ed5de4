"""Epsilon of events against published values, closed forms and another library's accountants."""

import json
import math

import pytest
from dp_accounting.dp_event import GaussianDpEvent, PoissonSampledDpEvent
from dp_accounting.pld.pld_privacy_accountant import PLDAccountant
from dp_accounting.pld.privacy_loss_distribution import from_gaussian_mechanism
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import norm

from wardlaw.errors import AccountingError, ConfigError
from wardlaw.privacy import cross_check as module
from wardlaw.privacy.accountant import epsilon
from wardlaw.privacy.cross_check import cross_check, epsilon_by, epsilon_rdp
from wardlaw.privacy.epsilon import LARGEST
from wardlaw.privacy.events import Gaussian, PoissonGaussian
from wardlaw.privacy.step_loss import step_loss

VECTORS = [
    (256 / 60000, 1.1, 14062, 1e-5, 2.38169, 2.59656),
    (256 / 60000, 1.1, 3515, 1e-5, 1.13374, 1.28114),
    (0.01, 4.0, 10000, 1e-5, 0.947, 1.03549),
    (0.01, 1.0, 1000, 1e-5, 1.82824, 2.10137),
    (0.001, 0.8, 20000, 1e-6, 1.28615, 1.8972),
    (0.25, 2.0, 200, 1e-5, 9.55678, 10.35241),
    (1.0, 10.0, 100, 1e-5, 4.37718, 4.72851),
    (1.0, 1.0, 1, 1e-5, 4.37718, 4.72851),
]
"""Sampling rate, noise, steps, delta; epsilon of dp-accounting 0.6.0's PLD and RDP accountants."""


def gaussian_epsilon(mu: float, delta: float) -> float:
    """Balle & Wang, arXiv 1805.06530, theorem 8: solved for epsilon."""

    def excess(epsilon: float) -> float:
        tail = norm.cdf(mu / 2 - epsilon / mu) - math.exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu)
        return float(tail - delta)

    return float(brentq(excess, 0, 700))


@pytest.mark.parametrize(("rate", "noise", "steps", "delta", "pld", "rdp"), VECTORS)
def test_published_vectors(rate, noise, steps, delta, pld, rdp):
    events = [PoissonGaussian(rate, noise, steps)]
    assert epsilon(events, delta) == pytest.approx(pld, abs=1e-3)
    assert epsilon_rdp(events, delta) == pytest.approx(rdp, abs=1e-4)


def test_vectors_are_those_of_the_shared_file(shared_data):
    rows = json.loads((shared_data / "scaling" / "EXPECTED.json").read_text())["accountant_vectors"]["rows"]
    assert [tuple(row[:6]) for row in rows] == [pytest.approx(row, rel=1e-12) for row in VECTORS]


@pytest.mark.parametrize(("noise", "count"), [(1.0, 1), (0.5, 1), (5.0, 1), (10.0, 100), (3.0, 7)])
def test_gaussian_mechanisms_have_their_closed_form(noise, count):
    exact = gaussian_epsilon(math.sqrt(count) / noise, 1e-5)
    assert epsilon([Gaussian(noise, count)], 1e-5) == pytest.approx(exact, abs=1e-3)
    assert epsilon([PoissonGaussian(1.0, noise, count)], 1e-5) == epsilon([Gaussian(noise, count)], 1e-5)


def test_twenty_rounds_cost_what_their_composition_costs():
    rounds = [PoissonGaussian(0.02, 1.2, 50)] * 20
    assert epsilon(rounds, 1e-5) == epsilon([PoissonGaussian(0.02, 1.2, 1000)], 1e-5)
    # Far from the sum of what each costs, and more than one: an accountant that forgets is caught.
    assert 2 * epsilon(rounds[:1], 1e-5) < epsilon(rounds, 1e-5) < 10 * epsilon(rounds[:1], 1e-5)


def test_unlike_mechanisms_compose_as_the_library_composes_them():
    events = [PoissonGaussian(0.02, 1.1, 150), PoissonGaussian(0.05, 2.0, 80), Gaussian(8.0, 2)]
    reference = PLDAccountant()
    reference.compose(PoissonSampledDpEvent(0.02, GaussianDpEvent(1.1)), 150)
    reference.compose(PoissonSampledDpEvent(0.05, GaussianDpEvent(2.0)), 80)
    reference.compose(GaussianDpEvent(8.0), 2)
    assert epsilon(events, 1e-6) == pytest.approx(reference.get_epsilon(1e-6), abs=1e-3)


@settings(max_examples=15, deadline=None)
@given(
    rate=st.floats(1e-3, 0.9), noise=st.floats(0.6, 20), steps=st.integers(1, 500), exponent=st.floats(3, 8)
)
def test_epsilon_lies_between_fewer_steps_and_renyi(rate, noise, steps, exponent):
    delta = 10**-exponent
    spent = epsilon([PoissonGaussian(rate, noise, steps)], delta)
    tolerance = 5e-4 * max(1, spent)
    assert spent <= epsilon_rdp([PoissonGaussian(rate, noise, steps)], delta) + tolerance
    assert spent <= epsilon([PoissonGaussian(rate, noise, 2 * steps)], delta) + tolerance
    assert spent <= epsilon([PoissonGaussian(1.0, noise, steps)], delta) + tolerance


@pytest.mark.parametrize(
    "event", [PoissonGaussian(0.5, 1e-3, 10), Gaussian(1e-200), PoissonGaussian(1e-3, 0.01, 9999)]
)
def test_noise_that_hides_nothing_costs_infinity(event):
    assert epsilon([event], 1e-6) == math.inf


@pytest.mark.parametrize(("exact", "told"), [(0.99 * LARGEST, True), (1.01 * LARGEST, False)])
def test_an_epsilon_beyond_the_largest_is_no_number(exact, told):
    # Balle & Wang's closed form: at a mean loss of mu^2 / 2 the rest is a few mu.
    mu = brentq(lambda mu: gaussian_epsilon(mu, 1e-6) - exact, 10, 30)
    assert epsilon([Gaussian(1 / mu)], 1e-6) == (pytest.approx(exact, rel=2e-4) if told else math.inf)


def test_a_stand_in_of_little_noise_has_no_rounded_epsilon():
    # dp-accounting's search ends at points of its grid where e^-loss is 0: 749.2 or 750 for 748.6.
    assert epsilon([PoissonGaussian(16 / 1118, 0.08, 100)], 1e-6) == math.inf


@pytest.mark.parametrize("delta", [1e-5, 1e-10])
@pytest.mark.parametrize("steps", [100, 20_000])
@pytest.mark.parametrize("mu", [0.3, 3.0])
def test_many_steps_stay_above_the_closed_form(delta, steps, mu):
    # All but everybody is drawn: added up step by step, and not as one Gaussian mechanism.
    found = epsilon([PoissonGaussian(1 - 1e-15, math.sqrt(steps) / mu, steps)], delta)
    exact = gaussian_epsilon(mu, delta)
    assert -1e-6 <= (found - exact) / max(1.0, exact) < 1e-3


def test_nothing_released_costs_nothing():
    assert epsilon([], 1e-6) == 0


@pytest.mark.parametrize("delta", [0, 1, -1, math.nan])
def test_a_delta_out_of_range_is_refused(delta):
    with pytest.raises(ValueError, match="delta"):
        epsilon([Gaussian(1.0)], delta)


def test_three_accountants_agree():
    check = cross_check([PoissonGaussian(0.04, 1.5, 2250)], 1e-5)
    # Opacus's own tests: RDP 7.32911117143; PRV 6.7774.
    assert check.rdp == pytest.approx(7.32911117143, abs=1e-8)
    assert check.prv == pytest.approx(6.7774, abs=5e-3)
    assert check.prv - 0.012 < check.pld < check.prv
    assert check.failed_orders == ()


@pytest.mark.parametrize("factor", [0.97, 1.2])
def test_an_accountant_that_contradicts_the_others_is_noticed(monkeypatch, factor):
    monkeypatch.setattr(module, "epsilon", lambda events, delta: factor * epsilon(events, delta))
    with pytest.raises(AccountingError):
        cross_check([PoissonGaussian(0.01, 1.0, 1000)], 1e-5)


def test_renyi_orders_that_fail_are_named(monkeypatch):
    true = module.rdp.compute_rdp

    def broken(*, orders, **settings):
        divergences = true(orders=orders, **settings)
        divergences[3] = math.nan
        return divergences

    whole = cross_check([PoissonGaussian(0.01, 1.0, 100)], 1e-5)
    monkeypatch.setattr(module.rdp, "compute_rdp", broken)
    check = cross_check([PoissonGaussian(0.01, 1.0, 100)], 1e-5)
    assert check.failed_orders == (module.ORDERS[3],)
    assert check.rdp >= whole.rdp


@pytest.mark.parametrize("name", ["gdp", "clt"])
def test_the_central_limit_theorem_is_refused_by_name(name):
    with pytest.raises(ConfigError, match="below the true epsilon"):
        epsilon_by(name, [Gaussian(1.0)], 1e-5)


def test_accountants_are_known_by_name():
    events = [PoissonGaussian(0.01, 1.0, 1000)]
    assert epsilon_by("pld", events, 1e-5) == epsilon(events, 1e-5)
    assert epsilon_by("rdp", events, 1e-5) == pytest.approx(2.10137, abs=1e-4)
    assert epsilon_by("prv", events, 1e-5) == pytest.approx(1.83837, abs=1e-3)
    with pytest.raises(ConfigError, match="no accountant 'moments'"):
        epsilon_by("moments", events, 1e-5)


@pytest.mark.parametrize(
    ("rate", "noise", "interval", "steps"),
    [
        (6.4e-4, 0.73, 1e-3, 1400),
        (0.01, 1.0, 4e-4, 1000),
        (0.25, 2.0, 3e-3, 200),
        (0.99, 0.5, 1e-3, 20),
        (0.5, 0.2, 0.1, 3),
    ],
)
def test_all_points_of_a_grid_at_once_are_the_librarys(rate, noise, interval, steps):
    ours = step_loss(rate, noise, interval=interval, log_truncation=-40.0).self_compose(steps)
    theirs = from_gaussian_mechanism(
        noise, sampling_prob=rate, value_discretization_interval=interval, log_mass_truncation_bound=-40.0
    ).self_compose(steps)
    for delta in (1e-3, 1e-5, 1e-8):
        assert ours.get_epsilon_for_delta(delta) == pytest.approx(
            theirs.get_epsilon_for_delta(delta), rel=1e-5
        )
    for level in (0.1, 1.0, 5.0):
        reference = theirs.get_delta_for_epsilon(level)
        assert ours.get_delta_for_epsilon(level) == pytest.approx(reference, rel=1e-5, abs=1e-12)
