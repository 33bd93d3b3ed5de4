"""Where a step's gradient comes from: the loss of a batch, or private sums over patients."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from client.training.stream import Stream
from models.model import Model
from wardlaw.config.train import TrainSection


@dataclass(frozen=True)
class StepGradient:
    """What is known of a step once its gradient stands in the parameters.

    Attributes
    ----------
    loss : float or None
        Mean nats a target before the step; None where a private step drew nobody.
    norm : float
        L2 norm of the gradient, before it is clipped as a whole or after noise.
    tokens : int
        What the step takes of the run's token budget.
    flops : float
        Of the forward and backward passes.
    """

    loss: float | None
    norm: float
    tokens: int
    flops: float


class Gradient(Protocol):
    """Gradients of a model, step by step."""

    def __call__(self, model: Model, step: int) -> StepGradient:
        """Leave a step's gradient in the parameters' ``grad``, which is None before."""


@dataclass(frozen=True, eq=False)
class BatchGradient:
    """Gradient of the mean loss of a batch, shortened to ``train.clip-norm``."""

    stream: Stream
    section: TrainSection

    def __call__(self, model: Model, step: int) -> StepGradient:
        """Leave a step's gradient in ``grad``."""
        batch = self.stream.batch(step)
        device = next(model.parameters()).device
        with autocast(device, self.section):
            loss = model.loss(batch.to(device))
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(model.parameters(), self.section.clip_norm)
        return StepGradient(loss.item(), norm.item(), batch.token_count, model.training_flops(batch))


def autocast(device: torch.device, section: TrainSection) -> torch.autocast:
    """Context in which activations have the run's precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=section.precision == "bf16")
