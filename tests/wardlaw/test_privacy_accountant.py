"""Epsilon of events against published values, closed forms and another library's accountants."""

import json
import math

import numpy as np
import pytest
from dp_accounting.dp_event import GaussianDpEvent, PoissonSampledDpEvent
from dp_accounting.pld.pld_privacy_accountant import PLDAccountant
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special
from scipy.optimize import brentq
from scipy.stats import norm

from wardlaw.errors import AccountingError, ConfigError
from wardlaw.privacy import cross_check as module
from wardlaw.privacy.accountant import TOLERANCE, epsilon
from wardlaw.privacy.cross_check import cross_check, epsilon_by, epsilon_dp_accounting, epsilon_rdp
from wardlaw.privacy.epsilon import LARGEST
from wardlaw.privacy.events import Gaussian, PoissonGaussian

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


def solved(log_delta, delta: float, most: float) -> float:
    """Where a falling log delta of epsilon meets that of ``delta``."""
    return float(brentq(lambda epsilon: log_delta(epsilon) - math.log(delta), 0, most, xtol=1e-9))


def gaussian_epsilon(mu: float, delta: float) -> float:
    """Balle & Wang, arXiv 1805.06530, theorem 8: solved for epsilon."""

    def log_delta(epsilon: float) -> float:
        tail, paid = norm.logcdf(mu / 2 - epsilon / mu), epsilon + norm.logcdf(-mu / 2 - epsilon / mu)
        return float(tail + math.log(-math.expm1(paid - tail)))

    return solved(log_delta, delta, mu**2 / 2 + 40 * mu)


def one_step_epsilon(rate: float, noise: float, delta: float) -> float:
    """Of one step, from the definition: the worst set of outputs is all above a threshold."""

    def log_delta(epsilon: float) -> float:
        # e^epsilon = 1 - q + q e^u, at the output u sigma^2 + 1 / 2.
        exponent = epsilon + math.log1p((rate - 1) * math.exp(-epsilon)) - math.log(rate)
        output = 0.5 + noise**2 * exponent
        absent, present = special.log_ndtr(-output / noise), special.log_ndtr((1 - output) / noise)
        reached = np.logaddexp(math.log(rate) + present, math.log1p(-rate) + absent)
        return float(reached + math.log(-math.expm1(epsilon + absent - reached)))

    return solved(log_delta, delta, 0.5 / noise**2 + 40 / noise)


@pytest.mark.parametrize(("rate", "noise", "steps", "delta", "pld", "rdp"), VECTORS)
def test_published_vectors(rate, noise, steps, delta, pld, rdp):
    events = [PoissonGaussian(rate, noise, steps)]
    assert epsilon(events, delta) == pytest.approx(pld, abs=1e-3)
    assert epsilon_rdp(events, delta) == pytest.approx(rdp, abs=1e-4)


def test_vectors_are_those_of_the_shared_file(shared_data):
    rows = json.loads((shared_data / "scaling" / "EXPECTED.json").read_text())["accountant_vectors"]["rows"]
    assert [tuple(row[:6]) for row in rows] == [pytest.approx(row, rel=1e-12) for row in VECTORS]


def is_bound(found: float, exact: float) -> bool:
    """Whether a value lies above the exact one, and by no more than is said."""
    return -1e-7 <= (found - exact) / max(1.0, exact) <= TOLERANCE


@pytest.mark.parametrize(
    ("noise", "count"),
    [
        (1.0, 1),
        (0.5, 1),
        (5.0, 1),
        (10.0, 100),
        (3.0, 7),
        (0.3, 1),
        (0.1, 3),
        (0.03, 1),
        (0.027, 1),
        (0.01, 1),
    ],
)
def test_gaussian_mechanisms_have_their_closed_form(noise, count):
    exact = gaussian_epsilon(math.sqrt(count) / noise, 1e-5)
    assert is_bound(epsilon([Gaussian(noise, count)], 1e-5), exact)
    assert epsilon([PoissonGaussian(1.0, noise, count)], 1e-5) == epsilon([Gaussian(noise, count)], 1e-5)


@pytest.mark.parametrize("delta", [1e-5, 1e-10, 1e-15, 1e-30])
@pytest.mark.parametrize("steps", [100, 20_000])
@pytest.mark.parametrize("mu", [0.3, 3.0])
def test_many_steps_leave_no_arithmetic_in_small_deltas(delta, steps, mu):
    # All but everybody is drawn: added up step by step, and still the closed form.
    found = epsilon([PoissonGaussian(1 - 1e-15, math.sqrt(steps) / mu, steps)], delta)
    assert is_bound(found, gaussian_epsilon(mu, delta))


@pytest.mark.parametrize("rate", [0.9, 0.5, 1e-2, 1e-4])
@pytest.mark.parametrize("noise", [0.3, 0.1, 0.05, 0.03, 0.02])
def test_one_step_of_little_noise_has_the_epsilon_of_its_definition(rate, noise):
    # From 3 to 1,400: no value is that of a grid, and e^-epsilon may be no float.
    assert is_bound(epsilon([PoissonGaussian(rate, noise, 1)], 1e-6), one_step_epsilon(rate, noise, 1e-6))


@pytest.mark.parametrize(
    ("rate", "noise", "steps"),
    [(16 / 1118, 0.08, 100), (16 / 1118, 0.1, 100), (0.5, 0.1, 20), (0.01, 0.25, 5000)],
)
def test_many_steps_of_little_noise_lie_between_bounds_of_other_kinds(rate, noise, steps):
    delta = 1e-6
    found = epsilon([PoissonGaussian(rate, noise, steps)], delta)
    assert found == pytest.approx(epsilon([PoissonGaussian(rate, noise, steps)], delta, 1e-6), rel=TOLERANCE)
    assert found <= epsilon_rdp([PoissonGaussian(rate, noise, steps)], delta)
    assert found <= gaussian_epsilon(math.sqrt(steps) / noise, delta)
    # Who is drawn k times at least, with more probability than delta, loses what k Gaussian releases lose.
    drawn = next(k for k in range(steps, 0, -1) if special.bdtrc(k - 1, steps, rate) > 2 * delta)
    assert found > 0.9 * (drawn / (2 * noise**2) - drawn * math.log(1 / rate))


def test_a_stand_in_of_little_noise_has_no_rounded_epsilon():
    # dp-accounting's own search ends at 750 = 120 x 6.25, points of its grid, where e^-loss is 0.
    found = epsilon([PoissonGaussian(16 / 1118, 0.08, 100)], 1e-6)
    assert 748.5 < found < 748.7


@pytest.mark.parametrize(("exact", "told"), [(0.999 * LARGEST, True), (1.001 * LARGEST, False)])
def test_an_epsilon_beyond_the_largest_is_no_number(exact, told):
    mu = brentq(lambda mu: gaussian_epsilon(mu, 1e-6) - exact, 50, 200)
    found = epsilon([Gaussian(1 / mu)], 1e-6)
    assert is_bound(found, exact) if told else found == math.inf


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
    "event",
    [
        PoissonGaussian(0.5, 1e-3, 10),
        Gaussian(1e-200),
        PoissonGaussian(1e-3, 0.01, 9999),
        Gaussian(0.5, 10**6),
    ],
)
def test_noise_that_hides_nothing_costs_infinity(event):
    assert epsilon([event], 1e-6) == math.inf


@pytest.mark.parametrize(("delta", "spent"), [(1e-6, 0.0), (1e-10, math.inf)])
def test_who_is_drawn_less_often_than_delta_needs_no_noise(delta, spent):
    assert epsilon([PoissonGaussian(1e-9, 1e-200, 10)], delta) == spent


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
    assert check.dp_accounting == pytest.approx(check.pld, rel=1e-3)
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


@settings(max_examples=15, deadline=None)
@given(
    rate=st.floats(-4, -0.01).map(lambda log: 10**log), noise=st.floats(0.3, 5), steps=st.integers(1, 3000)
)
def test_values_are_those_of_dp_accounting(rate, noise, steps):
    events = [PoissonGaussian(rate, noise, steps), PoissonGaussian(rate / 2, 2 * noise, 5), Gaussian(10.0)]
    reported, theirs = epsilon(events, 1e-6), epsilon_dp_accounting(events, 1e-6)
    if reported < 500:
        assert reported - TOLERANCE * max(1, reported) <= theirs <= reported + 0.01 * max(1, reported)
