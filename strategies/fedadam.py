"""Adam at the server."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from strategies.guarded import Float64, Guard, GuardedStrategy


class FedAdam(GuardedStrategy):
    """Adam on the mean update (Reddi et al., arXiv 2003.00295, algorithm 2).

    With the update d = mean - w: m <- beta_1 m + (1 - beta_1) d,
    v <- beta_2 v + (1 - beta_2) d^2, w <- w + eta m / (sqrt(v) + tau).
    As in the paper, m and v have no bias correction and v starts from tau^2.

    Parameters
    ----------
    guard : Guard
    server_learning_rate : float
        eta.
    beta_1, beta_2 : float
        Decay of the moments.
    tau : float
        Adaptivity; the larger, the closer to momentum.
    """

    def __init__(
        self, guard: Guard, *, server_learning_rate: float, beta_1: float, beta_2: float, tau: float
    ) -> None:
        super().__init__(guard)
        self.server_learning_rate = server_learning_rate
        self.beta_1, self.beta_2, self.tau = beta_1, beta_2, tau

    def initial_state(self) -> dict[str, float]:
        """M starts from 0 and v from tau squared."""
        return {"first_moment": 0.0, "second_moment": self.tau**2}

    def step(
        self, model: NDArray[np.float32], mean: Float64, state: Mapping[str, Float64]
    ) -> tuple[Float64, dict[str, Float64]]:
        """Follow the first moment, scaled by the second."""
        update = mean - model
        first = self.beta_1 * state["first_moment"] + (1 - self.beta_1) * update
        second = self.beta_2 * state["second_moment"] + (1 - self.beta_2) * update**2
        following = model + self.server_learning_rate * first / (np.sqrt(second) + self.tau)
        return following, {"first_moment": first, "second_moment": second}

    def settings(self) -> dict[str, float]:
        """Eta, the betas and tau."""
        return {
            "server_learning_rate": self.server_learning_rate,
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "tau": self.tau,
        }
