"""Client-level privacy: what a federation's models may tell of whether a site took part.

The unit is a whole site, added or removed, not a patient. The server sees each site's model and is
trusted with it; the promise is about the global models that it gives away.
"""

import math
from dataclasses import dataclass

from wardlaw.privacy import accountant
from wardlaw.privacy.events import Event, Gaussian


@dataclass(frozen=True)
class ClientLevel:
    """Mechanism of a round, and its price.

    A site's update, clipped to norm C, has the weight min(examples, cap) / cap, at most 1. Their sum is
    divided by the number of sites that were expected, whoever answered (McMahan et al., arXiv
    1710.06963, section 3.2). So a site moves the mean by C / sites at most, and the noise fits that.

    Attributes
    ----------
    sites : int
        Fixed denominator: sites expected in a round. It must not depend on who answers.
    noise_multiplier : float
        z: standard deviation of the noise on the weighted sum, over C.
    delta : float
    weight_cap : int
        Examples from which on a site has the whole weight 1; with 1 all sites weigh the same.
    count_noise : float
        Standard deviation of the noise on the number of unclipped sites; 0 where it is not released.
    epsilon_limit : float
        No round starts that would pass it; 0 is no limit.
    """

    sites: int
    noise_multiplier: float
    delta: float
    weight_cap: int = 1
    count_noise: float = 0.0
    epsilon_limit: float = 0.0

    def weight(self, examples: int) -> float:
        """Weight of a site's update, in (0, 1]."""
        return min(examples, self.weight_cap) / self.weight_cap

    def sensitivity(self, clip_norm: float) -> float:
        """Largest L2 distance between the means with and without one site."""
        return clip_norm / self.sites

    def noise_std(self, clip_norm: float) -> float:
        """Standard deviation of the noise on each number of the mean update."""
        return self.noise_multiplier * self.sensitivity(clip_norm)

    def noise_over_update(self, parameters: int) -> float:
        """Norm of the noise on the mean update over the largest norm, C, that the update can have."""
        return self.noise_std(1.0) * math.sqrt(parameters)

    def events(self, releases: int) -> tuple[Event, ...]:
        """What so many models cost, each of all sites: no amplification by sampling is claimed.

        A site adds +1/2 or -1/2 to the released count, so that its sensitivity is 1/2 (Andrew et al.,
        arXiv 1905.03871, theorem 1).
        """
        if releases == 0:
            return ()
        models: tuple[Event, ...] = (Gaussian(self.noise_multiplier, releases),)
        return models + ((Gaussian(2 * self.count_noise, releases),) if self.count_noise else ())

    def epsilon(self, releases: int) -> float:
        """Epsilon of so many models, composed."""
        return accountant.epsilon(self.events(releases), self.delta)

    def allows(self, releases: int) -> bool:
        """Whether so many models stay within the limit."""
        return not self.epsilon_limit or self.epsilon(releases) <= self.epsilon_limit
