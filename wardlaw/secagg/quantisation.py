"""Real numbers as whole ones modulo 2^32, so that masks hide them perfectly and sums come out exactly."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardlaw.errors import ConfigError

HALF = 1 << 31
"""Sums lie in [-2^31, 2^31), in two's complement."""

NOISE_ROOM = 8.0
"""Standard deviations of noise that a sum has room for: beyond are 1.3e-15 of all normal deviates."""


@dataclass(frozen=True)
class Quantisation:
    """Levels of equal distance from ``-clip_range`` to ``clip_range``, zero among them.

    Attributes
    ----------
    clip_range : float
    bits : int
        There are 2^bits - 1 levels.
    """

    clip_range: float
    bits: int

    @property
    def largest(self) -> int:
        """Number of the level of ``clip_range``; that of ``-clip_range`` is its negative."""
        return (1 << (self.bits - 1)) - 1

    @property
    def step(self) -> float:
        """Distance of two levels."""
        return self.clip_range / self.largest

    def require_room(self, sites: int, noise_std: float = 0.0) -> None:
        """Refuse settings with which a sum could pass 2^31.

        Parameters
        ----------
        sites : int
            Whose numbers are added.
        noise_std : float
            Standard deviation of the noise on their sum.

        Raises
        ------
        ConfigError
            If it could.
        """
        if sites * (self.largest + 1) + NOISE_ROOM * noise_std / self.step >= HALF:
            noise = f" and noise of {noise_std:g}" if noise_std else ""
            raise ConfigError(
                f"secagg.bits = {self.bits}: the sum of {sites} sites{noise} could pass 2^31",
                remedy="Set secagg.bits lower" + (", or secagg.clip-range higher" if noise_std else ""),
            )

    def quantise(self, values: NDArray[np.float64], uniforms: NDArray[np.float64]) -> NDArray[np.uint32]:
        """Levels of ``values``, each the one below or above, so that the mean error is 0.

        Parameters
        ----------
        values : array, float64, (n,)
            Within ``clip_range`` by the caller's word; what lies outside wraps modulo 2^32, as noise may.
        uniforms : array, float64, (n,)
            In [0, 1), from a secret stream: who knew them would know more of the values than the sum.

        Returns
        -------
        array, uint32, (n,)
        """
        return (np.floor(values / self.step + uniforms)).astype(np.int64).astype(np.uint32)

    def real(self, total: NDArray[np.uint32]) -> NDArray[np.float64]:
        """A sum of levels as a real number."""
        return np.multiply(total.view(np.int32), self.step, dtype=np.float64)

    def mean_error(self, sites: int, weight: float) -> float:
        """Bound on the error of each coordinate of a weighted mean.

        A coordinate errs by less than a step, and a weight by at most a level, which moves the mean by
        at most two: three steps a site, over the ``weight`` of all. Typical is
        sqrt(sites / 6) of a step over the weight, as a rounding has mean 0 and, over values, variance 1/6.
        """
        return 3 * sites * self.step / weight


def noise_share_std(noise_multiplier: float, norm_bound: float, sites: int, dropouts: int) -> float:
    """Standard deviation of the noise that each site adds to its update.

    Any ``sites - dropouts`` shares sum to a standard deviation of at least ``noise_multiplier * norm_bound``.
    That counts on each site to add its own, and on normal noise that is not rounded: rounded shares do not
    add up to a rounded normal deviate (Kairouz et al., arXiv 2102.06387, use discrete noise for that reason).

    Raises
    ------
    ConfigError
        If nobody would be left.
    """
    if dropouts >= sites:
        raise ConfigError(f"secagg.dropouts = {dropouts} leaves none of {sites} sites to add noise")
    return noise_multiplier * norm_bound / float(np.sqrt(sites - dropouts))
