"""The audit of a mechanism as a record that a run's statement can take over."""

from pathlib import Path

import torch

from client.privacy.implementation import POISSON
from client.privacy.private_round import code_digest
from simulations.audit.broken import BROKEN
from simulations.audit.canaries import Canaries
from simulations.audit.canary_models import canaries_for
from simulations.audit.lower_bound import lower_bounds
from simulations.audit.one_run import EPSILONS, Audit, canary_scores, run_audit
from simulations.audit.profile import claimed_profile
from simulations.audit.verdict import judge
from wardlaw.files import write_text_atomically
from wardlaw.privacy.accountant import epsilon
from wardlaw.privacy.audits import Implementation, MechanismAudit
from wardlaw.privacy.part import read_part


def audit_mechanism(audit: Audit, delta: float) -> MechanismAudit:
    """Audit the mechanism as it is, and as it is broken in each way that is known.

    Parameters
    ----------
    audit : Audit
    delta : float
        Of the epsilons compared.
    """
    canaries = canaries_for(audit.engine, audit.canaries, audit.device)
    scores = canary_scores(audit, canaries=canaries)
    verdict = judge(*scores, claimed_profile(audit.events, EPSILONS))
    bounds = lower_bounds(*scores, delta)
    return MechanismAudit(
        implementation=implementation_of_audit(audit),
        canaries=audit.canaries,
        sampling_rate=audit.sampling_rate,
        noise_multiplier=audit.noise_multiplier,
        steps=audit.steps,
        seed=audit.seed,
        delta=delta,
        epsilon=epsilon(audit.events, delta),
        epsilon_at_least=bounds.two_rates,
        epsilon_at_least_one_run=bounds.one_run,
        refuted=verdict.refuted,
        false_alarm=verdict.false_alarm,
        catches=caught(audit, canaries),
    )


def caught(audit: Audit, canaries: Canaries) -> dict[str, bool]:
    """Whether the same audit refutes each broken mechanism."""
    return {
        name: run_audit(audit, mechanism, claim(audit), canaries=canaries).refuted
        for name, (mechanism, claim) in BROKEN.items()
    }


def implementation_of_audit(audit: Audit) -> Implementation:
    """What an audit audits, with the sources that are there now."""
    return Implementation(
        code=code_digest(),
        engine=audit.engine,
        sampling=POISSON,
        clipping=audit.clipping,
        precision=audit.precision,
        device=audit.device,
        torch=str(torch.__version__),
    )


def save_audit(path: Path, audit: MechanismAudit) -> None:
    """Write an audit as JSON, over an earlier one."""
    write_text_atomically(path, audit.model_dump_json(indent=2) + "\n")


def load_audit(path: Path) -> MechanismAudit:
    """Read an audit.

    Raises
    ------
    RecordError
        If there is none, or it is not one.
    """
    return read_part(MechanismAudit, path, "an audit of a mechanism")
