"""What a privacy requirement costs in noise, site by site.

Each site trains with DP-SGD on its own patients (Abadi et al. 2016, arXiv 1607.00133): a step samples
patients at rate q (Poisson), clips each one's gradient to norm 1 and adds Gaussian noise of deviation
sigma to the sum. The accountant is that of privacy loss distributions (Google's dp-accounting). What
reaches learning is the noise-batch ratio S = sigma / batch (McKenna et al. 2025, arXiv 2501.18914);
averaged over M sites, S = sqrt(sum of S_i^2) / M.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from analysis.planner.consortium import Consortium, Privacy, Shard
from wardlaw.errors import ConfigError, RecordError

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


@cache
def noise_multiplier(epsilon: float, delta: float, rate: float, steps: int) -> float:
    """Least sigma with which so many steps are (epsilon, delta)-DP together, to 1 in 1000 of epsilon.

    Raises
    ------
    RecordError
        If epsilon is not one that noise is planned for.
    """
    # Accountants load when they are asked, and not with the room.
    from wardlaw.privacy.calibration import noise_for

    try:
        return noise_for(epsilon, delta, sampling_rate=rate, steps=steps)
    except ConfigError as error:
        raise RecordError(error.what, where="--epsilon", remedy=error.remedy) from None
