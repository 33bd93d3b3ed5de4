"""Gradient canaries: patients whose whole gradient lies along a direction of their own.

Nasr et al., arXiv 2302.07956, section 5 (Dirac canaries). An attacker who sees every noisy gradient, as a
coordinator does, and knows each canary's direction learns no more of it than its coordinate. The
directions are orthogonal, so the canaries of one run are independent trials of the whole mechanism: it
does not matter to a canary which others take part.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from client.privacy.draw import PoissonDraws
from client.training.gradient import Gradient
from models.model import Model, ParameterGroup


@dataclass(frozen=True)
class Canary:
    """All that one patient contributes: which canary it is."""

    index: int
    token_count: int = 1

    def to(self, device: torch.device | str) -> Self:
        """Itself, an index has no device."""
        return self


class CanaryModel(Model):
    """A loss whose gradient is, for each canary, one coordinate of each of two tensors.

    Half of a canary's gradient is in each, so that clipping tensor by tensor, or noise for one of
    them alone, shows.

    Parameters
    ----------
    canaries : int
    length : float
        L2 norm of a canary's gradient. Above the clipping norm it tests the clipping, too.
    """

    def __init__(self, canaries: int, length: float) -> None:
        super().__init__()
        self.length = length
        self.first = nn.Parameter(torch.zeros(canaries))
        self.second = nn.Parameter(torch.zeros(canaries))

    def loss(self, batch: Canary) -> Tensor:
        """Linear in the weights: its gradient never changes."""
        return self.length / math.sqrt(2) * (self.first[batch.index] + self.second[batch.index])

    def along_canaries(self) -> NDArray[np.float64]:
        """Product of the gradient with each canary's direction, (canaries,)."""
        assert self.first.grad is not None
        assert self.second.grad is not None
        return (self.first.grad.double() + self.second.grad.double()).div(math.sqrt(2)).numpy()

    def training_flops(self, batch: Canary) -> float:
        """None that are worth counting."""
        return 0.0

    def parameter_groups(self, optimiser: str) -> list[ParameterGroup]:
        """Both tensors."""
        group = ParameterGroup(
            name="canaries", params=list(self.parameters()), lr_multiplier=1.0, weight_decay_multiplier=0.0
        )
        return [group]

    def compile_blocks(self) -> None:
        """Nothing is worth it."""

    def description(self, context: int) -> dict[str, Any]:
        """Its two numbers."""
        return {"model_type": "canaries", "canaries": len(self.first), "length": self.length}


class CanaryStream:
    """Poisson draws of the canaries that are members (``client.privacy.private_stream.PrivateStream``).

    Parameters
    ----------
    members : sequence of int
    sampling_rate : float
    key : bytes of length 32
    """

    def __init__(self, members: Sequence[int], sampling_rate: float, key: bytes) -> None:
        self.name = "canaries"
        self.members = members
        self.patients = len(members)
        self.unique_tokens = len(members)
        self.sampling_rate = sampling_rate
        self.expected_tokens = sampling_rate * self.patients
        self.key = key

    def draw(self, step: int) -> tuple[Canary, ...]:
        """Members of a step."""
        drawn = PoissonDraws(self.patients, self.sampling_rate, self.key).members(step)
        return tuple(Canary(self.members[place]) for place in drawn)


def observe(gradient: Gradient, model: CanaryModel, steps: int, unit: float) -> NDArray[np.float64]:
    """What an attacker sees of each canary at each step, (steps, canaries).

    Parameters
    ----------
    gradient : Gradient
        The mechanism under audit, from draws to noise.
    model : CanaryModel
    steps : int
    unit : float
        What one clipped patient adds to a released gradient, C over the expected batch: a canary that was
        drawn shows 1, and noise of standard deviation sigma.
    """
    seen = np.empty((steps, len(model.first)))
    for step in range(steps):
        model.zero_grad(set_to_none=True)
        gradient(model, step)
        seen[step] = model.along_canaries() / unit
    return seen


def log_likelihood_ratios(
    seen: NDArray[np.float64], sampling_rate: float, noise_multiplier: float
) -> NDArray[np.float64]:
    """Score of each canary, (canaries,): log of P(seen | member) / P(seen | not), the best there is.

    A member's coordinate is a mixture: N(1, sigma^2) with probability q, else N(0, sigma^2).
    """
    drawn = np.log(sampling_rate) + (seen - 0.5) / noise_multiplier**2
    missed = np.log1p(-sampling_rate) if sampling_rate < 1 else -np.inf
    scores: NDArray[np.float64] = np.logaddexp(drawn, missed).sum(0)
    return scores
