import numpy as np
import pytest
from scipy import stats

from client.privacy.clipping import Clipping
from client.privacy.patient_loop import patient_loop
from simulations.audit.canaries import Canary, CanaryModel, CanaryStream, log_likelihood_ratios, observe
from simulations.audit.one_run import Audit, private_gradient


def test_canaries_have_orthogonal_gradients_of_the_length_asked_for() -> None:
    model = CanaryModel(5, length=4.0)
    known = patient_loop(model, [Canary(1), Canary(3), Canary(3)], Clipping(norm=100.0))
    assert known.norms.tolist() == pytest.approx([4.0] * 3)
    assert model.along_canaries() == pytest.approx([0, 4, 0, 8, 0])


def test_a_drawn_canary_shows_one_unit_of_noise_multiplier_sigma() -> None:
    audit = Audit(canaries=400, sampling_rate=0.3, noise_multiplier=0.05, steps=6, seed=1)
    stream = CanaryStream(range(0, 400, 2), audit.sampling_rate, audit.key)
    unit = audit.section.clip_norm / audit.section.patients
    seen = observe(private_gradient(audit, stream), CanaryModel(400, 4.0), audit.steps, unit)
    drawn = np.zeros_like(seen)
    for step in range(audit.steps):
        drawn[step, [canary.index for canary in stream.draw(step)]] = 1
    noise = seen - drawn
    assert abs(noise).max() < 5 * 0.05
    assert noise.std() == pytest.approx(0.05, rel=0.05)
    assert 0.2 < drawn[:, ::2].mean() < 0.4


def test_scores_are_logarithms_of_the_ratio_of_densities() -> None:
    seen, rate, noise = np.array([[0.2, -1.0, 3.0], [1.1, 0.4, 0.0]]), 0.3, 0.7
    inside = rate * stats.norm.pdf(seen, 1, noise) + (1 - rate) * stats.norm.pdf(seen, 0, noise)
    ratios = np.log(inside / stats.norm.pdf(seen, 0, noise)).sum(0)
    np.testing.assert_allclose(log_likelihood_ratios(seen, rate, noise), ratios, rtol=1e-12)
    whole = (stats.norm.logpdf(seen, 1, noise) - stats.norm.logpdf(seen, 0, noise)).sum(0)
    np.testing.assert_allclose(log_likelihood_ratios(seen, 1.0, noise), whole, rtol=1e-12)
