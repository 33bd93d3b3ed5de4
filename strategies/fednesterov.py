"""Federated averaging with Nesterov momentum at the server: DiLoCo's outer optimiser."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from strategies.fedavgm import FedAvgM
from strategies.guarded import Float64


class FedNesterov(FedAvgM):
    """Nesterov momentum on the mean update (Douillard et al., arXiv 2311.08105, algorithm 1).

    With the outer gradient d = w - mean, as ``torch.optim.SGD(nesterov=True)`` has it:
    v <- beta v + d, w <- w - eta (d + beta v).
    """

    def step(
        self, model: NDArray[np.float32], mean: Float64, state: Mapping[str, Float64]
    ) -> tuple[Float64, dict[str, Float64]]:
        """Follow the velocity a step ahead."""
        gradient = model - mean
        velocity = self.server_momentum * state["velocity"] + gradient
        ahead = gradient + self.server_momentum * velocity
        return model - self.server_learning_rate * ahead, {"velocity": velocity}
