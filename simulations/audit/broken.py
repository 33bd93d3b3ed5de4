"""Mechanisms that do not have the privacy they claim, as others' code has them.

Each is the real mechanism with one part exchanged. An audit that passes one of them is worth nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch

from client.privacy.clipping import Clipping
from client.privacy.engine import PatientGradients
from client.privacy.noise import generator_of
from client.privacy.patient_loop import patient_loop
from client.privacy.private_gradient import PrivateGradient
from client.training.gradient import Gradient
from models.model import Batch, Model
from simulations.audit.canaries import Canary, CanaryStream
from simulations.audit.one_run import Audit, private_gradient
from wardlaw.config.train import TrainSection
from wardlaw.privacy.events import Event

MICRO_BATCHES = 4
SITES = 5
HEAVY_SHARE = 0.4
ROUNDS = 5


def unclipped(audit: Audit, stream: CanaryStream) -> Gradient:
    """No clipping: a gradient counts with its whole length."""

    def engine(
        model: Model, patients: Sequence[Batch], clipping: Clipping, precision: torch.dtype = torch.float32
    ) -> PatientGradients:
        return patient_loop(model, patients, replace(clipping, norm=math.inf), precision)

    return PrivateGradient(stream, engine, audit.section, TrainSection(), audit.key)


def short_noise(audit: Audit, stream: CanaryStream) -> Gradient:
    """Noise short by sqrt 2: a variance halved."""
    return private_gradient(replace(audit, noise_multiplier=audit.noise_multiplier / math.sqrt(2)), stream)


def shuffled(audit: Audit, stream: CanaryStream) -> Gradient:
    """Shuffled passes over the patients, accounted as Poisson draws (Chua et al., arXiv 2403.17673)."""
    return private_gradient(audit, _Shuffled(stream.members, stream.sampling_rate, stream.key))


def noise_once(audit: Audit, stream: CanaryStream) -> Gradient:
    """Micro-batches, each drawn and clipped, with the noise and the account of one."""
    return private_gradient(audit, _Accumulated(stream.members, stream.sampling_rate, stream.key))


def uniform_noise_on_weighted_mean(audit: Audit, stream: CanaryStream) -> Gradient:
    """A mean of sites by size, with the noise of a mean of equal sites: seen by the heavy site's patients."""

    def engine(
        model: Model, patients: Sequence[Batch], clipping: Clipping, precision: torch.dtype = torch.float32
    ) -> PatientGradients:
        weighted = replace(clipping, norm=clipping.norm * HEAVY_SHARE * SITES)
        return patient_loop(model, patients, weighted, precision)

    return PrivateGradient(stream, engine, audit.section, TrainSection(), audit.key)


def events_of_last_round(audit: Audit) -> tuple[Event, ...]:
    """The ledger of an accountant that starts anew each round."""
    return replace(audit, steps=audit.steps // ROUNDS).events


class _Shuffled(CanaryStream):
    def draw(self, step: int) -> tuple[Canary, ...]:
        batches = round(1 / self.sampling_rate)
        order = generator_of(self.key, "pass", step // batches).permutation(self.members)
        return tuple(Canary(int(index)) for index in order[step % batches :: batches])


class _Accumulated(CanaryStream):
    def draw(self, step: int) -> tuple[Canary, ...]:
        micro = range(step * MICRO_BATCHES, (step + 1) * MICRO_BATCHES)
        draws = [super(_Accumulated, self).draw(number) for number in micro]
        return tuple(canary for draw in draws for canary in draw)
