"""What all objectives share that hide patches of the signal and predict them."""

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from models.ecg.backbone import Backbone, over_patches
from models.ecg.batch import LEADS, SignalBatch
from models.ecg.objectives.masking import covered, draw_masks
from models.ecg.objectives.objective import Objective, RecordLosses
from wardlaw.config.objective import ObjectiveSection


class MaskedPrediction(Objective):
    """Hide spans of patches in the input, predict something of them from the features there.

    A masked sample is replaced by a learned value of its lead. Heads run over all patches, masked or
    not, so that shapes do not depend on the masks; only masked ones count.
    """

    target: ClassVar[str] = "masked patch"

    def __init__(self, section: ObjectiveSection, backbone: Backbone) -> None:
        super().__init__()
        self.patch, self.width = backbone.patch, backbone.width
        self.fraction, self.span = section.mask_fraction, section.mask_span
        self.mask_value = nn.Parameter(torch.zeros(LEADS))

    @abstractmethod
    def targets(self, batch: SignalBatch) -> Tensor:
        """What there is to predict of each patch, from the full signal: (B, P, ...) float32."""

    @abstractmethod
    def predict(self, features: Tensor, mask: Tensor) -> Tensor:
        """Prediction for each patch, of the targets' shape, from features (B, P, width)."""

    @abstractmethod
    def nats(self, predicted: Tensor, targets: Tensor) -> Tensor:
        """Loss of each patch: (B, P)."""

    @abstractmethod
    def constant(self, targets: Tensor, mask: Tensor) -> Tensor:
        """The prediction, the same for all patches, that is best over the masked ones: (...)."""

    @abstractmethod
    def head_flops(self, patches: int) -> float:
        """FLOPs of ``predict`` for one crop."""

    def target_flops(self, backbone: Backbone, samples: int) -> float:
        """FLOPs of ``targets`` for one crop."""
        return 0.0

    @property
    def learning(self) -> bool:
        """Whether a step follows: in training mode, and not for ``chance``."""
        return self.training and torch.is_grad_enabled()

    def losses(self, backbone: Backbone, batch: SignalBatch) -> RecordLosses:
        """Nats of each crop's masked patches."""
        mask = self._mask(batch)
        features = over_patches(backbone(covered(batch.signals, mask, self.mask_value)), backbone)
        nats = self.nats(self.predict(features, mask).float(), self.targets(batch))
        return RecordLosses(torch.where(mask, nats, 0).sum(1), mask.sum(1))

    @torch.no_grad()
    def chance(self, backbone: Backbone, batch: SignalBatch) -> RecordLosses:
        """Of the constant that is best for the batch's masked patches: a little low where they are few."""
        mask, targets = self._mask(batch), self.targets(batch)
        nats = self.nats(self.constant(targets, mask).expand_as(targets), targets)
        return RecordLosses(torch.where(mask, nats, 0).sum(1), mask.sum(1))

    def training_flops(self, backbone: Backbone, samples: int) -> float:
        """Three passes of backbone and heads, one that makes the targets."""
        student = backbone.forward_flops(samples) + self.head_flops(samples // self.patch)
        return 3 * student + self.target_flops(backbone, samples)

    def _mask(self, batch: SignalBatch) -> Tensor:
        return draw_masks(batch, self.patch, self.fraction, self.span)
