"""Profile likelihood against Student's exact interval, scipy and quadrature."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq, minimize, minimize_scalar
from scipy.stats import linregress, t

from analysis.laws.chinchilla import Chinchilla
from analysis.laws.power_law import PowerLaw, PurePowerLaw
from analysis.laws.replicas import ReplicasOffset
from analysis.solvers.local_model import huber
from analysis.solvers.objective import LOG_SQUARES
from analysis.uncertainty.profile import log_likelihood, profile_interval

DELTA = 1e-3


def test_profile_of_a_line_is_students_interval():
    """A pure power law under least squares of logs is ordinary regression, whose interval is exact."""
    random = np.random.default_rng(0)
    size = np.geomspace(1e5, 1e9, 9)
    loss = 9 * size**-0.1 * np.exp(0.01 * random.normal(size=9))
    law = PurePowerLaw(LOG_SQUARES).fit(size, loss)
    line = linregress(np.log(size), np.log(loss))
    reach = t.ppf(0.975, 7)
    slope, intercept = profile_interval(law, "alpha"), profile_interval(law, "A")
    assert slope.estimate == pytest.approx(-line.slope, rel=1e-9)
    assert slope.low == pytest.approx(-line.slope - reach * line.stderr, rel=1e-4)
    assert slope.high == pytest.approx(-line.slope + reach * line.stderr, rel=1e-4)
    assert intercept.low == pytest.approx(np.exp(line.intercept - reach * line.intercept_stderr), rel=1e-3)
    assert intercept.high == pytest.approx(np.exp(line.intercept + reach * line.intercept_stderr), rel=1e-3)


def test_profile_of_chinchilla_is_what_scipy_finds_with_one_exponent_held():
    random = np.random.default_rng(1)
    inputs = np.exp(random.uniform(np.log([5e7, 1e9]), np.log([1.6e10, 3e11]), (60, 2)))
    surface = 1.82 + 482 * inputs[:, 0] ** -0.348 + 2085 * inputs[:, 1] ** -0.366
    loss = surface * np.exp(0.004 * random.standard_t(3, 60))
    law = Chinchilla().fit(inputs, loss)
    values = law.params_["alpha"] + np.array([-0.05, -0.01, 0.01, 0.05])
    found, params = law.profile("alpha", values)
    features, log_loss = Chinchilla.features(inputs) - law.centre_, np.log(loss)
    others = [0, 1, 2, 4]
    for value, lowest, natural in zip(values, found, params, strict=True):
        assert natural[3] == value

        def objective(free, value=value):
            theta = np.array([[*free[:3], value, free[3]]])
            prediction, jacobian = Chinchilla.curve(features, theta)
            residual = prediction[0] - log_loss
            gradient = np.clip(residual, -DELTA, DELTA) @ jacobian[0][:, others]
            return 1e3 * huber(residual, DELTA).sum(), 1e3 * gradient

        reference = minimize(objective, law.theta_[others], jac=True, method="BFGS", options={"gtol": 1e-9})
        assert 1e3 * lowest == pytest.approx(reference.fun, rel=1e-6)


@pytest.mark.parametrize("mean", [1e-9, 3e-7, 4e-6, 1e-4])
def test_log_likelihood_against_quadrature(mean):
    """From noise far inside the threshold to noise far beyond it."""

    def lost(log_scale):
        s = np.exp(log_scale)
        width = np.sqrt(s) + s / DELTA
        ends = np.array([0.0, *np.geomspace(1e-3 * width, 60 * width, 40)])
        pieces = [
            quad(lambda r: np.exp(-huber(np.array(r), DELTA) / s), low, high)[0]
            for low, high in pairwise(ends)
        ]
        return mean / s + np.log(2 * sum(pieces))

    centre = np.log(mean)
    best = minimize_scalar(lost, bounds=(centre - 3, centre + 3), method="bounded", options={"xatol": 1e-7})
    assert log_likelihood(240 * mean, 240, DELTA) == pytest.approx(-240 * best.fun, abs=1e-3)


def test_log_likelihood_of_least_squares_is_the_gaussian():
    residual = np.random.default_rng(2).normal(scale=0.01, size=50)
    deviation = np.sqrt((residual**2).mean())
    expected = (-0.5 * (residual / deviation) ** 2 - np.log(deviation * np.sqrt(2 * np.pi))).sum()
    assert log_likelihood(0.5 * (residual**2).sum(), 50, np.inf) == pytest.approx(expected)
    assert log_likelihood(0.5 * (residual**2).sum(), 50, 1.0) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(("seed", "sign"), [(0, 1), (3, -1)])
def test_profile_of_an_exponent_near_zero_crosses_it_as_an_independent_one_does(seed, sign):
    """Replicas that cost nothing: the ends of beta by Nelder-Mead and bisection."""
    random = np.random.default_rng(seed)
    size, count = np.repeat(np.geomspace(1e6, 1e8, 5), 3), np.tile([1.0, 2.0, 8.0], 5)
    logs = np.log(1.5 + 30 * size**-0.25) + 0.003 * random.normal(size=15)
    law = ReplicasOffset(LOG_SQUARES).fit(np.column_stack([size, count]), np.exp(logs))
    interval, found = profile_interval(law, "beta"), law.params_
    assert np.sign(found["beta"]) == sign
    centre = np.log(size).mean()
    start = [np.log(found["E"]), np.log(found["A"]) - found["alpha"] * centre, found["alpha"]]

    def lowest(beta):
        def squares(free):
            floor, level, alpha = free
            reducible = np.exp(level - alpha * (np.log(size) - centre)) * count**beta
            return 1e6 * ((np.log(np.exp(floor) + reducible) - logs) ** 2).sum()

        options = {"xatol": 1e-8, "fatol": 1e-8, "maxiter": 8000, "maxfev": 8000}
        return minimize(squares, start, method="Nelder-Mead", options=options).fun

    best = lowest(found["beta"])
    cut = 15 * np.log1p(t.ppf(0.975, 11) ** 2 / 11)
    low, high = (
        brentq(lambda beta: 15 * np.log(lowest(beta) / best) - cut, *ends, xtol=1e-6)
        for ends in ((found["beta"] - 0.1, found["beta"]), (found["beta"], found["beta"] + 0.1))
    )
    assert low < 0 < high
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=3e-5)


def test_ends_of_positive_parameters_stay_positive_and_a_floor_that_vanished_is_bounded_above():
    size = np.geomspace(1e5, 1e9, 9)
    loss = 9 * size**-0.1 * np.exp(0.002 * np.random.default_rng(4).normal(size=9))
    law = PowerLaw(LOG_SQUARES).fit(size, loss)
    floor, level = profile_interval(law, "E"), profile_interval(law, "A")
    assert 0 <= floor.low < floor.high < loss.min()
    assert 0 < level.low < law.params_["A"] < level.high < np.inf
