"""The batched minimiser: weak spots, threads, and what a known minimum spares."""

import tracemalloc
import warnings
from functools import partial

import numpy as np
import pytest

from analysis.laws.chinchilla import Chinchilla
from analysis.laws.power_law import PowerLaw, PurePowerLaw
from analysis.solvers import local_model
from analysis.solvers.damped_newton import Minima, minimise_huber
from analysis.solvers.local_model import huber


def surface(runs, *, noise=0.004, seed=0):
    random = np.random.default_rng(seed)
    inputs = np.exp(random.uniform(np.log([5e7, 1e9]), np.log([1.6e10, 3e11]), (runs, 2)))
    loss = 1.82 + 482 * inputs[:, 0] ** -0.348 + 2085 * inputs[:, 1] ** -0.366
    return inputs, loss * np.exp(noise * random.standard_t(3, runs))


def centred(inputs):
    features = Chinchilla.features(inputs)
    return features - Chinchilla.centre(features)


def bootstrap_weights(replicates, runs, seed=0):
    draws = np.random.default_rng(seed).multinomial(runs, np.full(runs, 1 / runs), size=replicates)
    return draws.astype(float)


def test_huber_against_its_definition():
    residual = np.array([-3.0, -1.0, -0.25, 0.0, 0.5, 2.0])
    expected = [2.5, 0.5, 0.03125, 0.0, 0.125, 1.5]
    np.testing.assert_allclose(huber(residual, 1.0), expected)
    np.testing.assert_allclose(huber(residual, np.inf), 0.5 * residual**2)


def test_curve_survives_terms_of_very_different_size():
    features = np.array([[[0.0], [-800.0]], [[0.0], [900.0]]])
    value, jacobian = PowerLaw.curve(features, np.array([[0.0, 0.0, 1.0]]))
    np.testing.assert_allclose(value, [[0.0, 900.0]])
    np.testing.assert_allclose(jacobian, [[[1.0, 0.0, 0.0], [0.0, 1.0, 900.0]]])


def test_neither_threads_nor_other_rows_change_a_result(monkeypatch):
    inputs, loss = surface(40)
    law = Chinchilla().fit(inputs, loss)
    weight = bootstrap_weights(1500, 40)
    monkeypatch.setattr(local_model, "_THREADS", 1)
    one = law.refit(loss, weight)
    monkeypatch.setattr(local_model, "_THREADS", 3)
    np.testing.assert_array_equal(law.refit(loss, weight), one)
    np.testing.assert_allclose(law.refit(loss, weight[:3]), one[:3], rtol=1e-12)


def test_warm_start_and_guards_find_what_the_whole_grid_finds():
    inputs, loss = surface(40)
    law = Chinchilla().fit(inputs, loss)
    features, log_loss = centred(inputs), np.log(loss)
    curve, grid = partial(Chinchilla.curve, features), law.start_grid(features, loss)
    weight = bootstrap_weights(12, 40)
    found = law.refit(loss, weight)
    for solution, weights in zip(found, weight, strict=True):
        lowest = minimise_huber(curve, grid, log_loss, weights).objective.min()
        residual = curve(solution[None])[0][0] - log_loss
        assert (weights * huber(residual, 1e-3)).sum() == pytest.approx(lowest, rel=1e-6)


def test_a_row_ends_at_a_known_minimum_only_if_it_finds_no_lower_one():
    inputs, loss = surface(60)
    features, log_loss = centred(inputs), np.log(loss)
    curve = partial(Chinchilla.curve, features)
    start = Chinchilla.start_grid(features, loss)[[40]]
    minimum = minimise_huber(curve, start, log_loss)
    joined = minimise_huber(curve, start, log_loss, known=minimum)
    np.testing.assert_array_equal(joined.parameters, minimum.parameters)
    # A point that is no minimum is passed on the way down.
    beside = minimum.parameters + 1e-3
    claimed = (huber(curve(beside)[0] - log_loss, 1e-3)).sum(-1)
    false = Minima(beside, claimed, minimum.gradient_norm, minimum.converged)
    passed = minimise_huber(curve, start, log_loss, known=false)
    assert false.objective[0] > minimum.objective[0] * (1 + 1e-6)
    assert passed.lower(false).objective[0] == pytest.approx(minimum.objective[0], rel=1e-9)


def test_a_row_that_runs_out_of_iterations_has_the_objective_of_its_parameters():
    inputs, loss = surface(30)
    features, log_loss = centred(inputs), np.log(loss)
    curve = partial(Chinchilla.curve, features)
    found = minimise_huber(curve, Chinchilla.start_grid(features, loss)[:4], log_loss, iterations=3)
    assert not found.converged.any()
    expected = huber(curve(found.parameters)[0] - log_loss, 1e-3).sum(-1)
    np.testing.assert_allclose(found.objective, expected, rtol=1e-12)


def test_starts_that_are_not_numbers_wait_and_spoil_nothing():
    inputs, loss = surface(30)
    features, log_loss = centred(inputs), np.log(loss)
    starts = Chinchilla.start_grid(features, loss)[:3].copy()
    starts[1, 2], starts[2, 0] = np.nan, np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = minimise_huber(partial(Chinchilla.curve, features), starts, log_loss)
    alone = minimise_huber(partial(Chinchilla.curve, features), starts[:1], log_loss)
    assert found.converged.tolist() == [True, False, False]
    assert np.isinf(found.objective[1:]).all()
    assert found.objective[0] == pytest.approx(alone.objective[0], rel=1e-12)


@pytest.mark.parametrize("factor", [1.5, 10.0, 1000.0])
def test_one_huge_outlier_moves_nothing(factor):
    """Noise-free but for one run: the absolute loss passes through all the others."""
    inputs, loss = surface(30, noise=0.0)
    loss[7] *= factor
    law = Chinchilla().fit(inputs, loss)
    assert law.params_["alpha"] == pytest.approx(0.348, abs=2e-3)
    assert law.params_["beta"] == pytest.approx(0.366, abs=2e-3)
    assert law.objective_ < 1.01e-3 * np.log(factor)


def test_floor_that_vanishes_in_the_bootstrap():
    size = np.geomspace(1e4, 1e7, 30)
    loss = 8 * size**-0.1 * np.exp(0.01 * np.random.default_rng(0).normal(size=30))
    law = PowerLaw().fit(size, loss)
    replicates = law.named(law.refit(loss, bootstrap_weights(300, 30)))
    assert (replicates["E"] >= 0).all()
    assert (replicates["E"] < 1e-3).any()
    assert np.isfinite(replicates["alpha"]).all()
    assert np.isfinite(replicates["A"]).all()


def test_as_many_points_as_parameters_are_passed_through():
    inputs = np.array([[1e7, 1e9], [1e8, 1e9], [1e9, 1e9], [1e7, 1e10], [1e7, 1e11]])
    loss = 1.7 + 400 * inputs[:, 0] ** -0.34 + 410 * inputs[:, 1] ** -0.28
    law = Chinchilla().fit(inputs, loss)
    np.testing.assert_allclose(law.predict(inputs), loss, rtol=1e-9)
    assert law.params_["alpha"] == pytest.approx(0.34, rel=1e-4)
    # Resamples with fewer distinct points than parameters still end in finite predictions through them.
    weight = bootstrap_weights(50, 5)
    predicted = law.predict(inputs, law.refit(loss, weight))
    assert np.abs(np.log(predicted / loss))[weight > 0].max() < 1e-6


def test_runs_without_weight_are_as_if_absent():
    inputs, loss = surface(30)
    weight = np.repeat([1.0, 0.0], [25, 5])
    loss[25:] *= 3
    weighted = Chinchilla().fit(inputs, loss, weight=weight)
    absent = Chinchilla().fit(inputs[:25], loss[:25])
    assert weighted.objective_ == pytest.approx(absent.objective_, rel=1e-9)
    for name, value in absent.params_.items():
        assert weighted.params_[name] == pytest.approx(value, rel=1e-5)


def test_memory_of_many_rows_is_less_than_one_of_their_jacobians():
    size = np.geomspace(1e4, 1e9, 300)
    law = PurePowerLaw().fit(size, 9 * size**-0.1 * np.exp(0.01 * np.random.default_rng(0).normal(size=300)))
    weight = np.broadcast_to(1.0, (20_000, 300))
    tracemalloc.start()
    law.refit(law.predict(size), weight, guards=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < weight.size * len(law.parameters) * 8 / 2
