"""An ECG classifier as it is used: a crop in, a probability for each diagnosis out."""

from typing import NamedTuple

from torch import Tensor, nn

from models.ecg.backbone import Backbone


class Answer(NamedTuple):
    """What a classifier says about B crops: probabilities and their logits, both (B, classes)."""

    probabilities: Tensor
    logits: Tensor


class Classifier(nn.Module):
    """Backbone, mean over positions, linear head, sigmoid; in evaluation mode.

    Parameters
    ----------
    backbone : Backbone
    head : nn.Linear
        ``backbone.width`` features to a logit for each class.
    """

    def __init__(self, backbone: Backbone, head: nn.Linear) -> None:
        super().__init__()
        if head.in_features != backbone.width:
            raise ValueError(f"the head reads {head.in_features} features, the backbone has {backbone.width}")
        self.backbone = backbone
        self.head = head
        self.eval()

    @property
    def classes(self) -> int:
        """Number of diagnoses."""
        return self.head.out_features

    def forward(self, signals: Tensor) -> Answer:
        """Scaled crops (B, L, leads), whole ones: none is shorter than L."""
        logits = self.head(self.backbone(signals).mean(1))
        return Answer(logits.sigmoid(), logits)
