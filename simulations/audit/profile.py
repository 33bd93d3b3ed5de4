"""The privacy profile that a mechanism's events claim, of adding and of removing a patient."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution, from_gaussian_mechanism
from numpy.typing import NDArray

from wardlaw.privacy.events import Event, Gaussian, PoissonGaussian

_INTERVAL = 1e-3


@dataclass(frozen=True, eq=False)
class Profile:
    """For each epsilon, the delta of either neighbour.

    With P the distribution of what is released with a patient and Q without, every set S of outcomes has
    P(S) <= e^epsilon Q(S) + remove(epsilon) and Q(S) <= e^epsilon P(S) + add(epsilon). Under Poisson
    sampling the two differ much: a patient is left out of all steps with probability (1 - q)^steps, so
    that nothing released proves absence.

    Attributes
    ----------
    epsilons, remove, add : (k,) float64
    """

    epsilons: NDArray[np.float64]
    remove: NDArray[np.float64]
    add: NDArray[np.float64]


def claimed_profile(events: Sequence[Event], epsilons: NDArray[np.float64]) -> Profile:
    """Profile of all events together, each delta rounded up (Doroshenko et al., arXiv 2207.04380).

    Parameters
    ----------
    events : sequence of Event, at least one
        What a ledger says was released.
    epsilons : (k,) float64, none below 0
    """
    first, *others = map(_distribution, events)
    for other in others:
        first = first.compose(other)
    # The library's public delta is the larger of the two.
    return Profile(
        epsilons,
        remove=np.asarray(first._pmf_remove.get_delta_for_epsilon(epsilons)),
        add=np.asarray(first._pmf_add.get_delta_for_epsilon(epsilons)),
    )


def _distribution(event: Event) -> PrivacyLossDistribution:
    match event:
        case PoissonGaussian(sampling_rate=rate, noise_multiplier=noise, steps=times):
            pass
        case Gaussian(noise_multiplier=noise, count=times):
            rate = 1.0
    step = from_gaussian_mechanism(noise, sampling_prob=rate, value_discretization_interval=_INTERVAL)
    return step.self_compose(times)
