"""Federated averaging."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from strategies.guarded import Float64, GuardedStrategy


class FedAvg(GuardedStrategy):
    """The next model is the sites' weighted mean (McMahan et al., arXiv 1602.05629, algorithm 1)."""

    def step(
        self, model: NDArray[np.float32], mean: Float64, state: Mapping[str, Float64]
    ) -> tuple[Float64, dict[str, Float64]]:
        """Take the mean."""
        return mean, {}
