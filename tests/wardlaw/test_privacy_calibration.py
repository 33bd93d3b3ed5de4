"""Noise for an epsilon, alternatives at equal epsilon, and simulations."""

import time

import pytest

from wardlaw.errors import ConfigError
from wardlaw.privacy.accountant import epsilon
from wardlaw.privacy.alternatives import at_equal_epsilon, simulated_at
from wardlaw.privacy.calibration import noise_for, plan_for_epsilon, plan_for_noise
from wardlaw.privacy.events import PoissonGaussian
from wardlaw.privacy.plan import Plan


@pytest.mark.parametrize(
    ("patients", "batch", "target", "noise"),
    [
        (1000, 256, 8, 4.11),
        (5000, 256, 2, 2.96),
        (5000, 1024, 8, 3.63),
        (20000, 256, 8, 0.62),
        (100000, 1024, 2, 1.01),
    ],
)
def test_noise_of_published_settings(patients, batch, target, noise):
    # By dp-accounting's own calibration: 1000 steps, delta n^-1.1.
    plan = plan_for_epsilon(patients, batch, 1000, patients**-1.1, target)
    assert plan.noise_multiplier == pytest.approx(noise, abs=6e-3)
    assert plan.noise_batch_ratio == plan.noise_multiplier / batch


@pytest.mark.parametrize("target", [0.05, 1.0, 8.0, 50.0])
def test_the_noise_reaches_the_target_and_never_passes_it(target):
    noise = noise_for(target, 1e-6, sampling_rate=0.02, steps=500)
    reached = epsilon([PoissonGaussian(0.02, noise, 500)], 1e-6)
    assert 0.94 * target <= reached <= target
    if target >= 1:
        assert epsilon([PoissonGaussian(0.02, 0.995 * noise, 500)], 1e-6) > target


def test_noise_and_epsilon_are_each_others_inverse():
    plan = plan_for_noise(60000, 256, 14062, 1e-5, 1.1)
    assert plan.epsilon == pytest.approx(2.38169, abs=1e-3)
    assert plan_for_epsilon(60000, 256, 14062, 1e-5, plan.epsilon).noise_multiplier == pytest.approx(
        1.1, rel=1e-3
    )


def test_everybody_in_each_step_has_the_gaussian_closed_form():
    # mu = sqrt(T) / sigma = 1 gives 4.37718 at 1e-5.
    assert noise_for(4.37718, 1e-5, sampling_rate=1.0, steps=100) == pytest.approx(10, rel=1e-3)


@pytest.mark.parametrize("target", [0, -1, float("nan"), float("inf")])
def test_a_target_that_promises_nothing_is_refused(target):
    with pytest.raises(ConfigError, match="no noise is planned"):
        noise_for(target, 1e-5, sampling_rate=0.1, steps=10)


@pytest.mark.parametrize(
    ("patients", "batch", "delta", "target"),
    [(60_000, 256, 1e-5, 3.0), (1_000_000, 64, 1e-6, 8.0), (1_000_000, 64, 1e-6, 1.0)],
)
def test_fourteen_thousand_steps_take_under_two_seconds(patients, batch, delta, target):
    started = time.process_time()
    plan = plan_for_epsilon(patients, batch, 14_000, delta, target)
    assert time.process_time() - started < 2
    assert 0.999 * target <= plan.epsilon <= target


def test_alternatives_cost_the_same():
    plan = plan_for_noise(2000, 100, 200, 1e-5, 1.0)
    others = at_equal_epsilon(plan, batches=(0.5, 1, 40), steps=(1, 4))
    assert [(other.batch, other.steps) for other in others] == [(50, 200), (50, 800), (100, 200), (100, 800)]
    for other in others:
        assert plan.epsilon * 0.998 <= other.epsilon <= plan.epsilon
        assert other.epsilon == epsilon(
            [PoissonGaussian(other.sampling_rate, other.noise_multiplier, other.steps)], 1e-5
        )
    noises = [other.noise_multiplier for other in others]
    assert noises[0] < noises[1]
    assert noises[0] < noises[2] < noises[3]
    assert noises[2] == pytest.approx(1.0, rel=2e-3)


def test_a_simulation_keeps_the_ratio_and_is_not_private():
    plan = Plan(5000, 256, 1000, 1e-5, 2.0, 3.0)
    simulation = simulated_at(plan, 16)
    assert (simulation.batch, simulation.noise_multiplier, simulation.steps) == (16, 0.125, 1000)
    assert simulation.noise_batch_ratio == plan.noise_batch_ratio
    assert not simulation.private
    for factor in (0, -1, 3, 512):
        with pytest.raises(ConfigError, match="cannot be simulated"):
            simulated_at(plan, factor)
