"""Learning an ECG's diagnoses: binary cross-entropy and the asymmetric loss."""

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.ecg.backbone import Backbone, over_patches
from models.ecg.batch import SignalBatch
from models.ecg.objectives.layers import Linear
from models.ecg.objectives.masking import whole_patches
from models.ecg.objectives.objective import Objective, RecordLosses
from wardlaw.config.objective import ObjectiveSection

LOGITS = torch.linspace(-12, 12, 2401, device="cpu")
"""Where the best constant is looked for."""


class Supervised(Objective):
    """A linear head on the mean feature of a record's own patches; every class is a target.

    Chance is the best constant of each class over the batch's labels: it knows how frequent a class is. It
    is a little low for small batches, to whose labels it is fitted.

    Federation: the head is averaged; nothing else is kept. A record's loss does not depend on other records.

    Parameters
    ----------
    outputs : int
        Classes.
    """

    target: ClassVar[str] = "label"
    first_bias: ClassVar[float]
    """What the head says of every class before it has learnt anything."""

    def __init__(self, backbone: Backbone, outputs: int) -> None:
        super().__init__()
        self.patch, self.outputs = backbone.patch, outputs
        self.head = Linear(backbone.width, outputs)
        nn.init.constant_(self.head.bias, self.first_bias)

    @abstractmethod
    def label_losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of each label, of the shape of both."""

    def logits(self, backbone: Backbone, batch: SignalBatch) -> Tensor:
        """(B, classes) float32."""
        features = over_patches(backbone(batch.signals), backbone)
        own = whole_patches(batch, self.patch)[..., None]
        pooled = torch.where(own, features, 0).sum(1) / own.sum(1).clamp(min=1)
        logits: Tensor = self.head(pooled)
        return logits.float()

    def losses(self, backbone: Backbone, batch: SignalBatch) -> RecordLosses:
        """Loss of each crop, summed over classes."""
        return self._summed(self.label_losses(self.logits(backbone, batch), batch.labels))

    @torch.no_grad()
    def chance(self, backbone: Backbone, batch: SignalBatch) -> RecordLosses:
        """Of the best constant of each class."""
        grid = LOGITS.to(batch.labels.device)[:, None]
        present, absent = (self.label_losses(grid, torch.full_like(grid, value)) for value in (1, 0))
        frequency = batch.labels.mean(0)
        best = (frequency * present + (1 - frequency) * absent).argmin(0)
        return self._summed(self.label_losses(grid[best, 0].expand_as(batch.labels), batch.labels))

    def training_flops(self, backbone: Backbone, samples: int) -> float:
        """Three passes of backbone and head."""
        return 3 * (backbone.forward_flops(samples) + 2.0 * self.head.in_features * self.outputs)

    def _summed(self, losses: Tensor) -> RecordLosses:
        targets = torch.full((len(losses),), self.outputs, device=losses.device)
        return RecordLosses(losses.sum(1), targets)


class Bce(Supervised):
    """Binary cross-entropy, in nats a label.

    A diagnosis is rare, so the head starts at 5 %: from one half, features would first collapse onto
    the classes' frequencies (Lin et al., arXiv 1708.02002, section 4.1).
    """

    first_bias: ClassVar[float] = -3.0

    def label_losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Minus the log-probability of each label."""
        return functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")


class Asymmetric(Supervised):
    """Asymmetric loss (Ridnik et al., arXiv 2009.14119, equation 7).

    A weighted cross-entropy and no log-probability of anything: its values are not nats, and only
    comparable at equal gammas and shift. Below the shift a negative label has no gradient, so the head
    starts at one half.
    """

    first_bias: ClassVar[float] = 0.0

    def __init__(self, section: ObjectiveSection, backbone: Backbone, outputs: int) -> None:
        super().__init__(backbone, outputs)
        self.gamma_positive, self.gamma_negative = section.gamma_positive, section.gamma_negative
        self.shift = section.probability_shift

    def label_losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Equation 7, with p the probability and max(p - shift, 0) in its place where the label is 0."""
        least = torch.finfo(logits.dtype).tiny
        p, not_p = logits.sigmoid(), (-logits).sigmoid()
        # Kept off 0, where a power below 1 has no gradient.
        shifted = (p - self.shift).clamp(min=least)
        log_not_shifted = (not_p + self.shift).clamp(least, 1).log()
        present = not_p.clamp(min=least) ** self.gamma_positive * functional.logsigmoid(logits)
        absent = shifted**self.gamma_negative * log_not_shifted
        return -(labels * present + (1 - labels) * absent)
