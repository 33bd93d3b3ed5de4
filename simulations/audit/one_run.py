"""An audit of private training's own parts in one run: canaries in, noisy gradients out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from client.privacy.engine import Engine
from client.privacy.engines import engine_named
from client.privacy.private_gradient import PrivateGradient
from client.training.gradient import Gradient
from simulations.audit.canaries import Canaries, CanaryStream, log_likelihood_ratios, observe
from simulations.audit.canary_models import canaries_for
from simulations.audit.profile import claimed_profile
from simulations.audit.verdict import Verdict, judge
from wardlaw.config.privacy import PrivacySection
from wardlaw.config.train import TrainSection
from wardlaw.privacy.events import Event, PoissonGaussian
from wardlaw.seeds import generator

EPSILONS = np.linspace(0.0, 12.0, 241)
"""Where a claim's two inequalities are tested."""

LENGTH = 4.0
"""Norm of a canary's gradient, in clipping norms: it tests the clipping, too."""


@dataclass(frozen=True)
class Audit:
    """What is audited, and by how many canaries.

    Attributes
    ----------
    canaries : int
        m: each is a member of the training set by a coin of its own.
    sampling_rate : float
        q of each step.
    noise_multiplier : float
        sigma.
    steps : int
        Steps that an attacker sees.
    seed : int
        Of coins, draws and noise: an audit can be repeated, training cannot.
    engine : str
        Of ``client.privacy.engines.ENGINES``.
    clipping : {"flat", "normalised"}
    precision : {"fp32", "bf16"}
    device : str
        Type of the processor.
    """

    canaries: int
    sampling_rate: float
    noise_multiplier: float
    steps: int
    seed: int
    engine: str = "loop"
    clipping: Literal["flat", "normalised"] = "flat"
    precision: Literal["fp32", "bf16"] = "fp32"
    device: str = "cpu"

    @property
    def train(self) -> TrainSection:
        """Settings of training that a private step reads."""
        return TrainSection(precision=self.precision)

    def section(self, canaries: Canaries) -> PrivacySection:
        """Settings of the mechanism; the expected batch is that of half of the canaries."""
        return PrivacySection(
            mechanism="dp-sgd",
            clip_norm=canaries.length / LENGTH,
            clipping=self.clipping,
            noise_multiplier=self.noise_multiplier,
            patients=max(1, round(self.sampling_rate * self.canaries / 2)),
        )

    @property
    def events(self) -> tuple[Event, ...]:
        """What a right ledger says of the run."""
        return (PoissonGaussian(self.sampling_rate, self.noise_multiplier, self.steps),)

    @property
    def key(self) -> bytes:
        """Stands for a site's secret."""
        return generator(self.seed, "audit", "key").bytes(32)

    def membership(self) -> NDArray[np.bool_]:
        """Which canaries are members, (canaries,)."""
        return generator(self.seed, "audit", "members").random(self.canaries) < 0.5


Mechanism = Callable[[Audit, CanaryStream], Gradient]

Scores = tuple[NDArray[np.float64], NDArray[np.float64]]


def private_gradient(audit: Audit, stream: CanaryStream, engine: Engine | None = None) -> Gradient:
    """The mechanism of a site's training."""
    taken = engine or engine_named(audit.engine)
    return PrivateGradient(stream, taken, audit.section(stream.canaries), audit.train, audit.key)


def canary_scores(
    audit: Audit, mechanism: Mechanism = private_gradient, canaries: Canaries | None = None
) -> Scores:
    """Scores of the members, and of the other canaries, after one run; ``canaries`` saves making them."""
    canaries = canaries or canaries_for(audit.engine, audit.canaries, audit.device)
    members = audit.membership()
    stream = CanaryStream(canaries, np.flatnonzero(members).tolist(), audit.sampling_rate, audit.key)
    section = audit.section(canaries)
    seen = observe(mechanism(audit, stream), canaries, audit.steps, section.clip_norm / section.patients)
    scores = log_likelihood_ratios(seen, audit.sampling_rate, audit.noise_multiplier)
    return scores[members], scores[~members]


def run_audit(
    audit: Audit,
    mechanism: Mechanism = private_gradient,
    claim: Sequence[Event] | None = None,
    false_alarm: float = 0.01,
    canaries: Canaries | None = None,
) -> Verdict:
    """Verdict on a claim, by default that of a right ledger.

    Parameters
    ----------
    audit : Audit
    mechanism : callable
        What turns the members' stream into gradients.
    claim : sequence of Event, optional
        What the ledger under audit says was released.
    false_alarm : float
        Largest probability that a claim that is true is refuted.
    canaries : Canaries, optional
        ``canaries_for`` of the audit, where they were made before.
    """
    members, others = canary_scores(audit, mechanism, canaries)
    profile = claimed_profile(audit.events if claim is None else claim, EPSILONS)
    return judge(members, others, profile, false_alarm)
