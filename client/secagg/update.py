"""A site's update as it may be masked: bounded, weighted, noised if asked for, quantised."""

import hashlib
import math

import numpy as np
from numpy.typing import NDArray

from client.privacy.noise import uniforms
from client.privacy.secret import Secret
from wardlaw.config import RunConfig
from wardlaw.errors import PolicyError, TrainingError
from wardlaw.privacy.noise import add_normal
from wardlaw.secagg.counts import Counts
from wardlaw.secagg.quantisation import Quantisation


def require_bounded(update: NDArray[np.float64], norm_bound: float, clip_range: float) -> None:
    """Refuse an update that nobody could refuse once it is masked.

    Parameters
    ----------
    update : array, float64, (n,)
        Trained minus global weights.
    norm_bound, clip_range : float
        Largest L2 norm, and largest absolute value of a coordinate.

    Raises
    ------
    TrainingError
        If it is not finite, or too large.
    """
    norm = float(np.linalg.norm(update))
    if not math.isfinite(norm):
        raise TrainingError("the update is not finite", remedy="Set train.learning-rate lower")
    if norm > norm_bound:
        raise TrainingError(
            f"the update's norm {norm:.4g} is above secagg.norm-bound = {norm_bound:g}",
            remedy="Set it higher, or federation.local-steps lower",
        )
    if (largest := float(np.abs(update).max(initial=0.0))) > clip_range:
        raise TrainingError(
            f"a coordinate of the update is {largest:.4g}, above secagg.clip-range = {clip_range:g}",
            remedy="Set it higher, or federation.local-steps lower",
        )


def require_noise(left: int, config: RunConfig) -> None:
    """Refuse a sum of ``left`` sites in which noise is missing that the run promises.

    Raises
    ------
    PolicyError
        If more than ``secagg.dropouts`` of the sites that share the noise are lost.
    """
    lost = config.federation.replicas - left
    if config.secagg.noise_multiplier and lost > config.secagg.dropouts:
        raise PolicyError(
            f"{lost} sites are lost, and the noise on the sum would be short",
            where=f"secagg.dropouts = {config.secagg.dropouts}",
        )


def weight_level(examples: int, cap: int, quantisation: Quantisation) -> int:
    """Level of the weight min(examples, cap) / cap; the highest level is the weight 1, and none is 0."""
    return max(1, round(min(examples, cap) / cap * quantisation.largest))


def levels(
    update: NDArray[np.float64],
    counts: Counts,
    quantisation: Quantisation,
    noise_std: float,
    secret: Secret,
    fingerprint: str,
) -> NDArray[np.uint32]:
    """Levels of the weighted update, and behind them the site's counts.

    Noise and rounding follow from the site's secret, the run and the update itself: the same update gives
    the same levels, and two updates have noise of their own.

    Parameters
    ----------
    update : array, float64, (n,)
        Bounded (``require_bounded``).
    counts : Counts
        With the ``weight_level`` that the update is weighted by.
    quantisation : Quantisation
    noise_std : float
        Standard deviation of the site's share of noise; may be 0.
    secret : Secret
        The site's.
    fingerprint : str
        Of the run's configuration.

    Returns
    -------
    array, uint32, (n + 3,)
    """
    key = secret.derive("secagg", fingerprint, hashlib.sha256(update.data).digest(), counts.weight)
    weighted = update * (counts.weight / quantisation.largest)
    if noise_std:
        add_normal(weighted, key, "noise", std=noise_std)
    rounded = quantisation.quantise(weighted, uniforms(key, "rounding", count=weighted.size))
    return np.concatenate([rounded, counts.words()])
