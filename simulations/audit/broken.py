"""Mechanisms that do not have the privacy they claim, as others' code has them.

Each is the real mechanism with one part exchanged. An audit that passes one of them is worth nothing.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import torch

from client.privacy.clipping import Clipping
from client.privacy.engine import Engine, PatientGradients
from client.privacy.engines import engine_named
from client.privacy.noise import generator_of
from client.training.gradient import Gradient
from models.model import Batch, Model
from simulations.audit.canaries import Canaries, CanaryStream
from simulations.audit.one_run import Audit, Mechanism, private_gradient
from wardlaw.privacy.events import Event

MICRO_BATCHES = 4
SITES = 5
HEAVY_SHARE = 0.4
ROUNDS = 5


def unclipped(audit: Audit, stream: CanaryStream) -> Gradient:
    """No clipping: a gradient counts with its whole length."""
    return private_gradient(audit, stream, _with_norms(audit, math.inf))


def short_noise(audit: Audit, stream: CanaryStream) -> Gradient:
    """Noise short by sqrt 2: a variance halved."""
    return private_gradient(replace(audit, noise_multiplier=audit.noise_multiplier / math.sqrt(2)), stream)


def shuffled(audit: Audit, stream: CanaryStream) -> Gradient:
    """Shuffled passes over the patients, accounted as Poisson draws (Chua et al., arXiv 2403.17673)."""
    return private_gradient(audit, _Shuffled(*_parts(stream)))


def noise_once(audit: Audit, stream: CanaryStream) -> Gradient:
    """Micro-batches, each drawn and clipped, with the noise and the account of one."""
    return private_gradient(audit, _Accumulated(*_parts(stream)))


def uniform_noise_on_weighted_mean(audit: Audit, stream: CanaryStream) -> Gradient:
    """A mean of sites by size, with the noise of a mean of equal sites: seen by the heavy site's patients."""
    return private_gradient(audit, stream, _with_norms(audit, HEAVY_SHARE * SITES))


def events_of(audit: Audit) -> tuple[Event, ...]:
    """A right ledger."""
    return audit.events


def events_of_last_round(audit: Audit) -> tuple[Event, ...]:
    """The ledger of an accountant that starts anew each round."""
    return replace(audit, steps=max(1, audit.steps // ROUNDS)).events


BROKEN: Mapping[str, tuple[Mechanism, Callable[[Audit], Sequence[Event]]]] = MappingProxyType(
    {
        "no clipping": (unclipped, events_of),
        "noise short by sqrt 2": (short_noise, events_of),
        "shuffling accounted as Poisson draws": (shuffled, events_of),
        f"noise once for {MICRO_BATCHES} micro-batches": (noise_once, events_of),
        "weighted mean noised as uniform": (uniform_noise_on_weighted_mean, events_of),
        "accountant reset each round": (private_gradient, events_of_last_round),
    }
)
"""What is built, and what is claimed of it, by name."""


def _with_norms(audit: Audit, times: float) -> Engine:
    """The audited engine, with a clipping norm that is so many times too large."""
    engine = engine_named(audit.engine)

    def broken(
        model: Model, patients: Sequence[Batch], clipping: Clipping, precision: torch.dtype = torch.float32
    ) -> PatientGradients:
        return engine(model, patients, replace(clipping, norm=times * clipping.norm), precision)

    return broken


def _parts(stream: CanaryStream) -> tuple[Canaries, Sequence[int], float, bytes]:
    return stream.canaries, stream.members, stream.sampling_rate, stream.key


class _Shuffled(CanaryStream):
    def places(self, step: int) -> list[int]:
        batches = round(1 / self.sampling_rate)
        order = generator_of(self.key, "pass", step // batches).permutation(self.patients)
        places: list[int] = order[step % batches :: batches].tolist()
        return places


class _Accumulated(CanaryStream):
    def places(self, step: int) -> list[int]:
        micro = range(step * MICRO_BATCHES, (step + 1) * MICRO_BATCHES)
        return [place for number in micro for place in super(_Accumulated, self).places(number)]
