"""Federated averaging with server momentum."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from strategies.guarded import Float64, Guard, GuardedStrategy


class FedAvgM(GuardedStrategy):
    """Momentum on the mean update (Hsu et al., arXiv 1909.06335, section 4.3).

    With the update d = w - mean: v <- beta v + d, w <- w - eta v.

    Parameters
    ----------
    guard : Guard
    server_learning_rate : float
        eta.
    server_momentum : float
        beta.
    """

    def __init__(self, guard: Guard, *, server_learning_rate: float, server_momentum: float) -> None:
        super().__init__(guard)
        self.server_learning_rate = server_learning_rate
        self.server_momentum = server_momentum

    def initial_state(self) -> dict[str, float]:
        """V starts from 0."""
        return {"velocity": 0.0}

    def step(
        self, model: NDArray[np.float32], mean: Float64, state: Mapping[str, Float64]
    ) -> tuple[Float64, dict[str, Float64]]:
        """Follow the velocity."""
        velocity = self.server_momentum * state["velocity"] + (model - mean)
        return model - self.server_learning_rate * velocity, {"velocity": velocity}

    def settings(self) -> dict[str, float]:
        """Eta and beta."""
        return {
            "server_learning_rate": self.server_learning_rate,
            "server_momentum": self.server_momentum,
        }
