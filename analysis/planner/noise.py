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
from scipy.optimize import brentq

from analysis.planner.consortium import Consortium, Privacy, Shard
from wardlaw.errors import RecordError

if TYPE_CHECKING:
    from dp_accounting.pld import PLDAccountant

# Least and most noise that is tried.
_SIGMA = (0.2, 1e4)
_SIGMA_TOLERANCE = 1e-3
# The accountant rounds each step's privacy loss up to a grid of interval h, which makes epsilon of T steps
# too large by about T h^2 (and never too small): 0.009 to 0.022 at h = 1e-3 and 10^4 steps, 0.2 at 10^5. With
# T h^2 a five-hundredth of epsilon, h no coarser than 1e-3 and no finer than 1e-5, it stays below 1 %.
_ERROR = 2e-3
_COARSEST, _FINEST = 1e-3, 1e-5
# McKenna et al. 2025: their useful range of the ratio ends at about this.
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
    consortium: Consortium,
    privacy: Privacy,
    batch_tokens: float,
    steps: int,
    batch_patients: int | None = None,
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
    batch_patients : int, optional
        Patients that a step draws at a site, where that is known.

    Raises
    ------
    RecordError
        If no noise multiplier can be found.
    """
    return tuple(
        _site_noise(shard, privacy, batch_patients or batch_tokens * shard.patients / shard.tokens, steps)
        for shard in consortium.shards
    )


def averaged_ratio(noises: tuple[SiteNoise, ...]) -> float:
    """Noise-batch ratio of the mean over sites, whose noises are independent."""
    ratios = np.array([noise.ratio for noise in noises])
    return float(np.sqrt((ratios**2).sum()) / len(ratios))


def ratio_of_equal_sites(noises: tuple[SiteNoise, ...], replicas: int) -> float:
    """Noise-batch ratio of each of so many equal sites whose mean is as noisy as that of these.

    Run records have the ratio of one replica, sigma / B, and all of a run's replicas have the same.
    """
    return averaged_ratio(noises) * float(np.sqrt(replicas))


def _site_noise(shard: Shard, privacy: Privacy, batch: float, steps: int) -> SiteNoise:
    patients = min(shard.patients, max(1, round(batch)))
    rate = patients / shard.patients
    # A rate to three digits, rounded up, so that sites of like size share one calibration.
    digits = 10 ** (np.floor(np.log10(rate)) - 2)
    rounded = float(min(1.0, np.ceil(rate / digits) * digits))
    sigma = noise_multiplier(privacy.epsilon, privacy.delta, rounded, steps)
    return SiteNoise(shard.site, patients, rate, sigma, sigma / patients)


def accountant(epsilon: float, steps: int) -> "PLDAccountant":
    """A fresh accountant of privacy loss distributions, as fine as an epsilon over so many steps needs."""
    # Loaded where it is used: only plans under a privacy requirement need it.
    from dp_accounting.pld import PLDAccountant

    interval = float(np.clip(np.sqrt(_ERROR * epsilon / steps), _FINEST, _COARSEST))
    return PLDAccountant(value_discretization_interval=interval)


@cache
def noise_multiplier(epsilon: float, delta: float, rate: float, steps: int) -> float:
    """Smallest sigma from 0.2 on with which so many steps are (epsilon, delta)-DP together.

    Larger than it must be by 0.1 % at most, but for the accountant's own error.

    Raises
    ------
    RecordError
        If none up to 10,000 is enough.
    """
    from dp_accounting import dp_event

    @cache
    def excess(log_sigma: float) -> float:
        """Log of epsilon at a sigma over the epsilon asked for."""
        step = dp_event.PoissonSampledDpEvent(rate, dp_event.GaussianDpEvent(float(np.exp(log_sigma))))
        composed = accountant(epsilon, steps).compose(dp_event.SelfComposedDpEvent(step, steps))
        return float(np.log(np.clip(composed.get_epsilon(delta) / epsilon, 1e-9, 1e9)))

    least, most = np.log(_SIGMA)
    # From 1 upwards or downwards by doubling: little noise is slow to account for.
    high = 0.0
    while excess(high) > 0:
        high += np.log(2.0)
        if high > most:
            raise RecordError(
                f"no noise gives epsilon {epsilon:g} at delta {delta:g} over {steps} steps of rate {rate:g}",
                where="--epsilon",
                remedy="Ask for a larger epsilon or fewer steps",
            )
    low = high - np.log(2.0)
    while excess(low) <= 0:
        if low <= least:
            return _SIGMA[0]
        low, high = max(least, low - np.log(2.0)), low
    return float(np.exp(brentq(excess, low, high, xtol=_SIGMA_TOLERANCE / 2) + _SIGMA_TOLERANCE / 2))
