"""Masked reconstruction: predict the samples themselves."""

from typing import ClassVar

from torch import Tensor

from models.ecg.backbone import Backbone
from models.ecg.batch import LEADS, SignalBatch
from models.ecg.objectives.layers import Linear
from models.ecg.objectives.masked import MaskedPrediction
from models.ecg.objectives.masking import masked_mean, patches_of
from wardlaw.config.objective import ObjectiveSection

CLIP = 5.0
"""Robust-scaled value beyond which a sample is an artefact that need not be predicted."""


class Reconstruction(MaskedPrediction):
    """A linear head tells a masked patch's samples from its feature, as in He et al. (arXiv 2111.06377).

    The loss is half the squared error of scaled samples clipped at ``CLIP``: minus the log of a normal
    density of unit variance, less the log of its peak; a patch's loss is the mean over its sample
    values. Chance is the mean of each lead.

    Federation: the head and the mask's values are averaged; nothing else is kept. A record's loss
    does not depend on other records. It cannot collapse, since its targets are data.
    """

    target: ClassVar[str] = "masked patch, the mean of its sample values"

    def __init__(self, section: ObjectiveSection, backbone: Backbone) -> None:
        super().__init__(section, backbone)
        self.head = Linear(self.width, self.patch * LEADS)

    def targets(self, batch: SignalBatch) -> Tensor:
        """Clipped samples: (B, P, patch, leads)."""
        return patches_of(batch.signals, self.patch).clamp(-CLIP, CLIP)

    def predict(self, features: Tensor, mask: Tensor) -> Tensor:
        """Samples of each patch: (B, P, patch, leads)."""
        samples: Tensor = self.head(features)
        return samples.view(*features.shape[:2], self.patch, LEADS)

    def nats(self, predicted: Tensor, targets: Tensor) -> Tensor:
        """Half the mean squared error of each patch: (B, P)."""
        return 0.5 * (predicted - targets).square().mean((2, 3))

    def constant(self, targets: Tensor, mask: Tensor) -> Tensor:
        """Mean of each lead over all masked samples: (1, leads)."""
        return masked_mean(targets, mask).mean(0, keepdim=True)

    def head_flops(self, patches: int) -> float:
        """FLOPs of the head."""
        return 2.0 * patches * self.width * self.patch * LEADS
