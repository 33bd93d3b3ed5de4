"""What a privacy requirement costs in noise, site by site.

Each site trains with DP-SGD on its own patients (Abadi et al. 2016, arXiv 1607.00133): a step samples
patients at rate q (Poisson), clips each one's gradient to norm 1 and adds Gaussian noise of deviation
sigma to the sum. The accountant is that of privacy loss distributions (Google's dp-accounting). What
reaches learning is the noise-batch ratio S = sigma / batch (McKenna et al. 2025, arXiv 2501.18914);
averaged over M sites, S = sqrt(sum of S_i^2) / M.
"""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from analysis.planner.consortium import Consortium, Privacy, Shard
from wardlaw.errors import RecordError

if TYPE_CHECKING:
    from dp_accounting.dp_event import DpEvent
    from dp_accounting.pld import PLDAccountant

# Lowest that is tried, and the first guess above it.
_SIGMA = (0.2, 1.0)
_SIGMA_TOLERANCE = 1e-3
# Coarser than the library's default: epsilon is too large by a few 1e-4 at most, on the safe side, and ten
# times as quick.
_DISCRETISATION = 1e-3
# McKenna et al. 2025: above this ratio no model of theirs learned anything useful.
USEFUL_RATIO = 1e-3


@dataclass(frozen=True)
class SiteNoise:
    """One site's noise.

    Attributes
    ----------
    site : str
    batch_patients : int
        Expected patients a step.
    sampling_rate : float
        q.
    noise_multiplier : float
        sigma.
    ratio : float
        S = sigma / batch patients.
    """

    site: str
    batch_patients: int
    sampling_rate: float
    noise_multiplier: float
    ratio: float


def site_noises(
    consortium: Consortium, privacy: Privacy, batch_tokens: float, steps: int
) -> tuple[SiteNoise, ...]:
    """The noise that each site must add.

    Parameters
    ----------
    consortium : Consortium
    privacy : Privacy
    batch_tokens : float
        A step's tokens at one site; a patient contributes the site's mean tokens.
    steps : int
        Local steps of the whole run.

    Raises
    ------
    RecordError
        If no noise multiplier can be found.
    """
    return tuple(_site_noise(shard, privacy, batch_tokens, steps) for shard in consortium.shards)


def averaged_ratio(noises: tuple[SiteNoise, ...]) -> float:
    """Noise-batch ratio of the mean over sites, whose noises are independent."""
    ratios = np.array([noise.ratio for noise in noises])
    return float(np.sqrt((ratios**2).sum()) / len(ratios))


def _site_noise(shard: Shard, privacy: Privacy, batch_tokens: float, steps: int) -> SiteNoise:
    patients = min(shard.patients, max(1, round(batch_tokens * shard.patients / shard.tokens)))
    rate = patients / shard.patients
    # A rate to three digits, rounded up, so that sites of like size share one calibration.
    digits = 10 ** (np.floor(np.log10(rate)) - 2)
    rounded = float(min(1.0, np.ceil(rate / digits) * digits))
    sigma = noise_multiplier(privacy.epsilon, privacy.delta, rounded, steps)
    return SiteNoise(shard.site, patients, rate, sigma, sigma / patients)


def accountant() -> "PLDAccountant":
    """A fresh accountant of privacy loss distributions."""
    # Loaded where it is used: only plans under a privacy requirement need it.
    from dp_accounting.pld import PLDAccountant

    return PLDAccountant(value_discretization_interval=_DISCRETISATION)


@cache
def noise_multiplier(epsilon: float, delta: float, rate: float, steps: int) -> float:
    """Smallest sigma from 0.2 on, to 1e-3, with which so many steps are (epsilon, delta)-DP together."""
    from dp_accounting import dp_event, mechanism_calibration

    def event(sigma: float) -> "DpEvent":
        step = dp_event.PoissonSampledDpEvent(rate, dp_event.GaussianDpEvent(sigma))
        return dp_event.SelfComposedDpEvent(step, steps)

    if accountant().compose(event(_SIGMA[0])).get_epsilon(delta) <= epsilon:
        return _SIGMA[0]
    try:
        found = mechanism_calibration.calibrate_dp_mechanism(
            accountant,
            event,
            epsilon,
            delta,
            mechanism_calibration.LowerEndpointAndGuess(*_SIGMA),
            tol=_SIGMA_TOLERANCE,
        )
    except (mechanism_calibration.NoBracketIntervalFoundError, ValueError) as error:
        raise RecordError(
            f"no noise gives epsilon {epsilon:g} at delta {delta:g} over {steps} steps of rate {rate:g} "
            f"({error})",
            where="--epsilon",
            remedy="Ask for a larger epsilon or fewer steps",
        ) from None
    return float(found)
