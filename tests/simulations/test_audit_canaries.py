import numpy as np
import pytest
from scipy import stats

from client.privacy.clipping import Clipping
from client.privacy.engines import engine_named
from simulations.audit.canaries import CanaryStream, log_likelihood_ratios, observe
from simulations.audit.canary_models import canaries_for
from simulations.audit.one_run import Audit, private_gradient

ENGINES = ("loop", "batched ecg", "batched ehr", "hooks", "ghost", "fast-gradient")


@pytest.mark.filterwarnings("ignore:Full backward hook")
@pytest.mark.parametrize("engine", ENGINES)
def test_canaries_have_orthogonal_gradients_of_one_length(engine: str) -> None:
    canaries = canaries_for(engine, 12, "cpu")
    canaries.model.zero_grad(set_to_none=True)
    patients = [canaries.patient(index) for index in (1, 3, 3)]
    known = engine_named(engine)(canaries.model, patients, Clipping(norm=1000.0))
    assert known.norms.tolist() == pytest.approx([canaries.length] * 3)
    unit = np.zeros(12)
    unit[[1, 3]] = canaries.length, 2 * canaries.length
    assert canaries.along() == pytest.approx(unit, abs=1e-4 * canaries.length)


def test_a_decoders_canary_lies_in_all_kinds_of_its_layers() -> None:
    # Else an engine that forgets one of them would pass.
    canaries = canaries_for("batched ehr", 12, "cpu")
    norms = {name: float(own.norm()) for name, own in canaries._own.items()}
    assert set(norms) == {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"}
    assert min(norms.values()) > 0.3 * max(norms.values())


@pytest.mark.parametrize("engine", ["loop", "batched ehr", "batched ecg"])
def test_a_drawn_canary_shows_one_unit_of_noise_multiplier_sigma(engine: str) -> None:
    audit = Audit(400, sampling_rate=0.3, noise_multiplier=0.05, steps=6, seed=1, engine=engine)
    canaries = canaries_for(engine, 400, "cpu")
    stream = CanaryStream(canaries, range(0, 400, 2), audit.sampling_rate, audit.key)
    section = audit.section(canaries)
    seen = observe(
        private_gradient(audit, stream), canaries, audit.steps, section.clip_norm / section.patients
    )
    drawn = np.zeros_like(seen)
    for step in range(audit.steps):
        drawn[step, [2 * place for place in stream.places(step)]] = 1
    noise = seen - drawn
    assert abs(noise).max() < 5.5 * 0.05
    assert noise.std() == pytest.approx(0.05, rel=0.1)
    assert 0.2 < drawn[:, ::2].mean() < 0.4


def test_scores_are_logarithms_of_the_ratio_of_densities() -> None:
    seen, rate, noise = np.array([[0.2, -1.0, 3.0], [1.1, 0.4, 0.0]]), 0.3, 0.7
    inside = rate * stats.norm.pdf(seen, 1, noise) + (1 - rate) * stats.norm.pdf(seen, 0, noise)
    ratios = np.log(inside / stats.norm.pdf(seen, 0, noise)).sum(0)
    np.testing.assert_allclose(log_likelihood_ratios(seen, rate, noise), ratios, rtol=1e-12)
    whole = (stats.norm.logpdf(seen, 1, noise) - stats.norm.logpdf(seen, 0, noise)).sum(0)
    np.testing.assert_allclose(log_likelihood_ratios(seen, 1.0, noise), whole, rtol=1e-12)
