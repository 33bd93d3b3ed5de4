"""The interface of an objective."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from models.ecg.backbone import Backbone
from models.ecg.batch import SignalBatch


@dataclass(frozen=True, eq=False)
class RecordLosses:
    """Losses of a batch's crops.

    Attributes
    ----------
    nats : Tensor, (B,)
        Summed over the crop's targets.
    targets : Tensor, (B,)
        Number of them: labels, or positions.
    """

    nats: Tensor
    targets: Tensor

    def mean(self) -> Tensor:
        """Nats a target, over the batch."""
        return self.nats.sum() / self.targets.sum().clamp(min=1)


class Objective(nn.Module, ABC):
    """Heads, teachers and codebooks of an objective, and its loss.

    What its state dict holds is averaged over sites as all weights are: heads and predictors,
    an EMA teacher's weights and a codebook's running sums. Each subclass says in its docstring
    what that means for it. Nothing else outlives a step.
    """

    target: ClassVar[str]
    """What one target is, in words: "label", "patch", ..."""

    @abstractmethod
    def losses(self, backbone: Backbone, batch: SignalBatch) -> RecordLosses:
        """Loss of each crop, with a gradient for backbone and heads.

        Masks and negatives follow from ``batch.seeds`` alone.
        """

    @abstractmethod
    def chance(self, backbone: Backbone, batch: SignalBatch) -> RecordLosses:
        """Loss on the same targets of the best answer that knows no signal, without gradient."""

    @abstractmethod
    def training_flops(self, backbone: Backbone, samples: int) -> float:
        """FLOPs of forward and backward passes over one crop, heads and teacher included."""

    def start(self, backbone: Backbone) -> None:
        """Begin from the backbone's drawn weights: a teacher starts as its student."""

    def after_step(self, backbone: Backbone) -> None:
        """Move what follows the weights and is not trained: a teacher, a codebook."""
