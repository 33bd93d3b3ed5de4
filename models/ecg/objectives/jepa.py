"""JEPA: predict a teacher's features of what the student does not see."""

import torch
from torch import Tensor
from torch.nn import functional

from models.ecg.backbone import Backbone
from models.ecg.batch import SignalBatch
from models.ecg.objectives.huber import huber_centre, huber_nats
from models.ecg.objectives.predictor import Predictor
from models.ecg.objectives.taught import TaughtPrediction
from wardlaw.config.objective import ObjectiveSection


class Jepa(TaughtPrediction):
    """Joint-embedding predictive architecture (Assran et al., arXiv 2301.08243, section 3).

    Targets are the teacher's final features, layer-normed; a narrow transformer predicts them at masked
    patches from the student's features. Smooth L1 loss with beta = 1, the mean over features
    (``huber_nats``). Chance is the best constant vector. The paper's student drops masked patches;
    here they hold the mask's value, which any architecture can read, and the predictor goes on from
    the student's feature there.

    Federation: the predictor, the mask's values and the teacher are averaged (see ``Teacher``). A record's
    loss does not depend on other records. Against collapse stand the teacher's slow pace and the
    predictor between both; the layer norm keeps features apart from each other, not patches, so a
    collapse shows as a chance that falls with the loss.
    """

    def __init__(self, section: ObjectiveSection, backbone: Backbone) -> None:
        super().__init__(section, backbone)
        self.predictor = Predictor(self.width)

    @torch.no_grad()
    def targets(self, batch: SignalBatch) -> Tensor:
        """Layer-normed final features: (B, P, width)."""
        (final,) = self.teacher.layers(batch.signals)
        return functional.layer_norm(final, (self.width,))

    def predict(self, features: Tensor, mask: Tensor) -> Tensor:
        """(B, P, width) to (B, P, width)."""
        predicted: Tensor = self.predictor(features, mask)
        return predicted

    def nats(self, predicted: Tensor, targets: Tensor) -> Tensor:
        """Smooth L1 loss of each patch: (B, P)."""
        return huber_nats(predicted, targets)

    def constant(self, targets: Tensor, mask: Tensor) -> Tensor:
        """The best constant vector: (width,)."""
        return huber_centre(targets, mask)

    def head_flops(self, patches: int) -> float:
        """FLOPs of the predictor."""
        return self.predictor.flops(patches)
