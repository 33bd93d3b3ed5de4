"""Privacy loss of one step of DP-SGD on a grid: dp-accounting's, all points of the grid at once.

dp-accounting inverts the privacy loss point by point in Python, which is nearly all of its time. Only
that inversion is here; the mechanism, the discretisation and all compositions are the library's.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from dp_accounting.pld import pld_pmf
from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution
from dp_accounting.pld.privacy_loss_mechanism import AdjacencyType, GaussianPrivacyLoss

Losses = npt.NDArray[np.float64]


def step_loss(
    sampling_rate: float, noise_multiplier: float, *, interval: float, log_truncation: float
) -> PrivacyLossDistribution:
    """Distribution of a step's privacy loss, a patient added or removed.

    Parameters
    ----------
    sampling_rate : float
        q in (0, 1).
    noise_multiplier : float
        sigma.
    interval : float
        Between two points of the grid.
    log_truncation : float
        Log of the probability that may be cut off, whose losses count as infinite.
    """

    def on_grid(relation: AdjacencyType, divergence: Callable[[Any, Losses], Losses]) -> pld_pmf.PLDPmf:
        mechanism = GaussianPrivacyLoss(
            noise_multiplier,
            sampling_prob=sampling_rate,
            adjacency_type=relation,
            log_mass_truncation_bound=log_truncation,
        )
        bounds = mechanism.connect_dots_bounds()
        low, high = math.floor(bounds.epsilon_lower / interval), math.ceil(bounds.epsilon_upper / interval)
        losses = interval * np.arange(low, high + 1)
        deltas = np.clip(divergence(mechanism, losses), 0, 1)
        points = pld_pmf.create_pmf_pessimistic_connect_dots_fixed_gap(interval, low, high, deltas)
        # The sparse form's own composition counts its support in integers of thousands of digits.
        return points.to_dense_pmf()

    def removed(mechanism: Any, losses: Losses) -> Losses:
        deltas = -np.expm1(np.minimum(losses, 0))
        reached = losses > math.log1p(-sampling_rate)
        outputs = -0.5 - _unsampled(losses[reached], sampling_rate) * noise_multiplier**2
        deltas[reached] = _hockey_stick(mechanism, losses[reached], outputs)
        return deltas

    def added(mechanism: Any, losses: Losses) -> Losses:
        deltas = np.zeros_like(losses)
        reached = losses < -math.log1p(-sampling_rate)
        outputs = 0.5 + _unsampled(-losses[reached], sampling_rate) * noise_multiplier**2
        deltas[reached] = _hockey_stick(mechanism, losses[reached], outputs)
        return deltas

    return PrivacyLossDistribution(on_grid(AdjacencyType.REMOVE, removed), on_grid(AdjacencyType.ADD, added))


def _hockey_stick(mechanism: Any, losses: Losses, outputs: Losses) -> Losses:
    """Divergence at each loss, of which ``outputs`` are the outputs where it is met."""
    upper: Losses = mechanism.mu_upper_cdf(outputs)
    lower: Losses = np.exp(losses + mechanism.mu_lower_log_cdf(outputs))
    return upper - lower


def _unsampled(losses: Losses, sampling_rate: float) -> Losses:
    """Loss of the Gaussian mechanism that sampling turns into ``losses``: log(1 + (e^loss - 1) / q)."""
    with np.errstate(over="ignore"):
        small = np.log1p(np.expm1(losses) / sampling_rate)
        large = losses - math.log(sampling_rate) + np.log1p((sampling_rate - 1) * np.exp(-np.abs(losses)))
    return np.where(losses > 1, large, small)
