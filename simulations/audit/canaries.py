"""Gradient canaries: patients whose whole gradient lies along a direction of their own.

Nasr et al., arXiv 2302.07956, section 5 (Dirac canaries). An attacker who sees every noisy gradient, as a
coordinator does, and knows each canary's direction learns no more of it than its product with that direction.
No two canaries' gradients share a coordinate, so the canaries of one run are independent trials of the whole
mechanism: it does not matter to a canary which others take part.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from client.privacy.draw import PoissonDraws
from client.training.gradient import Gradient
from models.model import Batch, Model


class Canaries(ABC):
    """m canaries, and a model on which they have such gradients, of one length and always the same.

    Attributes
    ----------
    model : Model
        Its weights are never moved.
    count : int
        m.
    """

    def __init__(self, model: Model, count: int) -> None:
        self.model, self.count = model, count
        for loss in self.summed_losses():
            loss.backward()  # type: ignore[no-untyped-call]
        self._own = {name: gradient.clone() for name, gradient in self._gradients()}
        self._lengths = self._by_canary({name: own.double() ** 2 for name, own in self._own.items()}) ** 0.5

    @property
    def length(self) -> float:
        """L2 norm of each canary's gradient."""
        return float(self._lengths[0])

    @abstractmethod
    def patient(self, index: int) -> Batch:
        """All that one canary contributes to a step."""

    @abstractmethod
    def shares(self, name: str, values: Tensor) -> Tensor:
        """Sums over each canary's own coordinates of a parameter, (m,)."""

    def summed_losses(self) -> Sequence[Tensor]:
        """Each canary's loss, all of which are added up."""
        return [self.model.loss(self.patient(index)) for index in range(self.count)]

    def along(self) -> NDArray[np.float64]:
        """Product of the model's gradient with each canary's direction, (m,)."""
        products = {name: gradient.double() * self._own[name] for name, gradient in self._gradients()}
        return self._by_canary(products) / self._lengths

    def _gradients(self) -> list[tuple[str, Tensor]]:
        found = [(name, weight.grad) for name, weight in self.model.named_parameters()]
        return [(name, gradient) for name, gradient in found if gradient is not None]

    def _by_canary(self, values: dict[str, Tensor]) -> NDArray[np.float64]:
        summed: Tensor = sum(self.shares(name, value) for name, value in values.items())  # type: ignore[assignment]
        return summed.cpu().numpy()


class CanaryStream:
    """Poisson draws of the canaries that are members (``client.privacy.private_stream.PrivateStream``).

    Parameters
    ----------
    canaries : Canaries
    members : sequence of int
    sampling_rate : float
    key : bytes of length 32
    """

    def __init__(self, canaries: Canaries, members: Sequence[int], sampling_rate: float, key: bytes) -> None:
        self.name = "canaries"
        self.canaries = canaries
        self.members = members
        self.patients = len(members)
        self.unique_tokens = len(members)
        self.sampling_rate = sampling_rate
        self.expected_tokens = sampling_rate * self.patients
        self.key = key

    def places(self, step: int) -> list[int]:
        """Places among the members of those whom a step draws."""
        places: list[int] = PoissonDraws(self.patients, self.sampling_rate, self.key).members(step).tolist()
        return places

    def draw(self, step: int) -> tuple[Batch, ...]:
        """Members of a step."""
        return tuple(self.canaries.patient(self.members[place]) for place in self.places(step))


def observe(gradient: Gradient, canaries: Canaries, steps: int, unit: float) -> NDArray[np.float64]:
    """What an attacker sees of each canary at each step, (steps, canaries).

    Parameters
    ----------
    gradient : Gradient
        The mechanism under audit, from draws to noise.
    canaries : Canaries
    steps : int
    unit : float
        What one clipped patient adds to a released gradient, C over the expected batch: a canary that was
        drawn shows 1, and noise of standard deviation sigma.
    """
    seen = np.empty((steps, canaries.count))
    for step in range(steps):
        canaries.model.zero_grad(set_to_none=True)
        gradient(canaries.model, step)
        seen[step] = canaries.along() / unit
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
