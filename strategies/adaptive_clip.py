"""Clipped averaging whose norm follows a quantile of the sites' updates."""

import math
from collections.abc import Mapping

import numpy as np

from strategies.clipped_mean import ClippedMean
from strategies.clipped_sum import ClippedSum
from strategies.guarded import Float64, Guard
from wardlaw.errors import CheckpointError
from wardlaw.privacy.client_level import ClientLevel
from wardlaw.privacy.noise import add_normal
from wardlaw.privacy.releases import Releases

_CLIP_NORM = "privacy/clip_norm"


class AdaptiveClip(ClippedMean):
    """Geometric updates of C (Andrew et al., arXiv 1905.03871, algorithm 1).

    C <- C exp(-rate (b - quantile)), where b is the share of updates within C: a count with noise of
    its own, over the expected number of sites. Both releases are accounted. A site that does not
    answer counts as half within.

    Parameters
    ----------
    guard, privacy, releases, clip_norm, server_learning_rate
        As for ``ClippedMean``; ``clip_norm`` is the first C, and ``privacy.count_noise`` is above 0.
    clip_quantile : float
        Share of updates that C is to let through whole.
    clip_learning_rate : float
        The rate.
    """

    def __init__(
        self,
        guard: Guard,
        privacy: ClientLevel,
        releases: Releases,
        *,
        clip_norm: float,
        server_learning_rate: float,
        clip_quantile: float,
        clip_learning_rate: float,
    ) -> None:
        super().__init__(
            guard, privacy, releases, clip_norm=clip_norm, server_learning_rate=server_learning_rate
        )
        if privacy.count_noise <= 0:
            raise ValueError("the count of unclipped updates needs noise of its own")
        self.clip_quantile = clip_quantile
        self.clip_learning_rate = clip_learning_rate

    def adapt(self, released: ClippedSum) -> None:
        """Move C by what the noised count says."""
        count = np.array([released.centred_count])
        add_normal(count, released.key, "count", std=self.privacy.count_noise)
        share = 0.5 + float(count[0]) / self.privacy.sites
        self.clip_norm *= math.exp(-self.clip_learning_rate * (share - self.clip_quantile))

    def settings(self) -> dict[str, float]:
        """Those of the clipped mean, and of the quantile."""
        return {
            **super().settings(),
            "clip_quantile": self.clip_quantile,
            "clip_learning_rate": self.clip_learning_rate,
            "count_noise": self.privacy.count_noise,
        }

    def state_arrays(self) -> dict[str, Float64]:
        """With C."""
        return {**super().state_arrays(), _CLIP_NORM: np.array([self.clip_norm])}

    def load_state(self, arrays: Mapping[str, Float64]) -> None:
        """Take over what ``state_arrays`` gave.

        Raises
        ------
        CheckpointError
            As for ``ClippedMean``.
        """
        own = dict(arrays)
        clip_norm = own.pop(_CLIP_NORM, None)
        if clip_norm is None:
            raise CheckpointError(f"the saved state is not that of {type(self).__name__}")
        super().load_state(own)
        self.clip_norm = float(clip_norm[0])
