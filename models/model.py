"""What every model is to a trainer, a checkpoint and a federation, whatever it reads."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypedDict

import torch
from torch import Tensor, nn


class Batch(Protocol):
    """What a model trains on at one step."""

    @property
    def token_count(self) -> int:
        """What the batch takes of a run's token budget: targets of EHR, samples of ECG."""

    def to(self, device: torch.device | str) -> Self:
        """The same batch on ``device``."""


class ParameterGroup(TypedDict):
    """Parameters that share a learning rate and a weight decay."""

    name: str
    params: list[nn.Parameter]
    lr_multiplier: float
    weight_decay_multiplier: float


@dataclass(frozen=True)
class Parameters:
    """Numbers of parameters.

    Attributes
    ----------
    embedding : int
        Input embedding of tokens, V x d; 0 for signals.
    blocks : int
        Everything but embedding and heads: the N of a scaling law.
    head : int
        Output head: V x d, or all that an objective adds to train a backbone.
    """

    embedding: int
    blocks: int
    head: int

    @property
    def total(self) -> int:
        """All parameters."""
        return self.embedding + self.blocks + self.head


class Model(nn.Module, ABC):
    """A network with its objective.

    Its state dict is float32 and is what a federation averages. A parameter that needs no gradient
    is a teacher's: it moves in ``after_step`` and no optimiser holds it.
    """

    @abstractmethod
    def loss(self, batch: Any) -> Tensor:
        """Mean nats over the batch's targets, with a gradient."""

    @abstractmethod
    def training_flops(self, batch: Any) -> float:
        """FLOPs of a forward and a backward pass over what the batch holds besides padding."""

    @abstractmethod
    def parameter_groups(self, optimiser: str) -> list[ParameterGroup]:
        """Trained parameters by learning rate and weight decay, each once.

        Parameters
        ----------
        optimiser : {"adamw", "sgd", "sgd-momentum"}
            Rates that carry over from size to size differ between Adam and SGD
            (Yang et al., arXiv 2203.03466, table 3).
        """

    @abstractmethod
    def compile_blocks(self) -> None:
        """Compile what is run most."""

    @abstractmethod
    def description(self, context: int) -> dict[str, Any]:
        """Settings from which a checkpoint builds the same model; ``model_type`` names their reader."""

    def after_step(self) -> None:
        """Move what follows the weights and is not trained; nothing unless an objective needs it."""
