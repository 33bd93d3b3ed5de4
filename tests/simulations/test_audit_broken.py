"""The real mechanism passes an audit, and what others' code does in its place is caught."""

from dataclasses import replace

import pytest
import torch

from simulations.audit import broken
from simulations.audit.canary_models import canaries_for
from simulations.audit.lower_bound import lower_bounds
from simulations.audit.one_run import Audit, canary_scores, run_audit
from wardlaw.privacy.accountant import epsilon

AUDIT = Audit(canaries=2000, sampling_rate=0.1, noise_multiplier=0.4, steps=10, seed=0)
FALSE_ALARM = 0.01


def test_the_mechanism_passes() -> None:
    assert not run_audit(AUDIT, false_alarm=FALSE_ALARM).refuted
    bounds = lower_bounds(*canary_scores(AUDIT), delta=1e-5)
    assert 1.0 < bounds.one_run < epsilon(AUDIT.events, 1e-5)
    assert 1.0 < bounds.two_rates < epsilon(AUDIT.events, 1e-5)


@pytest.mark.parametrize("name", broken.BROKEN)
def test_a_broken_mechanism_is_caught(name: str) -> None:
    mechanism, claim = broken.BROKEN[name]
    assert run_audit(AUDIT, mechanism, claim(AUDIT), FALSE_ALARM).refuted


def test_six_broken_mechanisms_are_known() -> None:
    assert len(broken.BROKEN) == 6


def test_a_decoders_own_engine_passes_and_is_caught_without_clipping() -> None:
    torch.set_num_threads(1)
    audit = replace(AUDIT, canaries=1000, engine="batched ehr")
    canaries = canaries_for(audit.engine, audit.canaries, audit.device)
    assert not run_audit(audit, canaries=canaries).refuted
    assert run_audit(audit, broken.unclipped, canaries=canaries).refuted


def test_equal_sites_and_one_micro_batch_are_not_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    # What is caught above is the fault, not the part that was exchanged for it.
    monkeypatch.setattr(broken, "HEAVY_SHARE", 1 / broken.SITES)
    monkeypatch.setattr(broken, "MICRO_BATCHES", 1)
    assert not run_audit(AUDIT, broken.uniform_noise_on_weighted_mean).refuted
    assert not run_audit(AUDIT, broken.noise_once).refuted


@pytest.mark.slow
def test_the_mechanism_passes_twenty_seeds() -> None:
    audits = [
        Audit(canaries=2000, sampling_rate=0.1, noise_multiplier=0.4, steps=10, seed=seed)
        for seed in range(20)
    ]
    alarms = sum(run_audit(audit, false_alarm=FALSE_ALARM).refuted for audit in audits)
    # Two alarms or more have a probability of 1.7 % at the level stated, and 0.02 % at a tenth of it.
    assert alarms <= 1
