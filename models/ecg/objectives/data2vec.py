"""data2vec: predict the mean of a teacher's last layers."""

import torch
from torch import Tensor

from models.ecg.backbone import Backbone
from models.ecg.batch import SignalBatch
from models.ecg.objectives.huber import huber_centre, huber_nats
from models.ecg.objectives.layers import Linear
from models.ecg.objectives.masking import whole_patches
from models.ecg.objectives.normalisation import instance_norm
from models.ecg.objectives.taught import TaughtPrediction
from wardlaw.config.objective import ObjectiveSection


class Data2vec(TaughtPrediction):
    """Linear regression on contextual targets (Baevski et al., arXiv 2202.03555, sections 3.2 to 3.4).

    A target is the mean of the teacher's last ``target_layers`` blocks, each instance-normed over the
    record's time, as the paper does for speech. Smooth L1 loss with beta = 1, the mean over features
    (``huber_nats``). Chance is the best constant vector.

    Federation: the head, the mask's values and the teacher are averaged (see ``Teacher``). A record's
    loss does not depend on other records. Against collapse stand the teacher's slow pace and the
    instance norm, which no feature that is constant in time survives; if targets lose their variance
    all the same, chance falls with the loss.
    """

    def __init__(self, section: ObjectiveSection, backbone: Backbone) -> None:
        super().__init__(section, backbone)
        self.target_layers = section.target_layers
        self.head = Linear(self.width, self.width)

    @torch.no_grad()
    def targets(self, batch: SignalBatch) -> Tensor:
        """Mean of the normed layers: (B, P, width)."""
        own = whole_patches(batch, self.patch)
        layers = self.teacher.layers(batch.signals, self.target_layers)
        return torch.stack([instance_norm(layer, own) for layer in layers]).mean(0)

    def predict(self, features: Tensor, mask: Tensor) -> Tensor:
        """(B, P, width) to (B, P, width)."""
        predicted: Tensor = self.head(features)
        return predicted

    def nats(self, predicted: Tensor, targets: Tensor) -> Tensor:
        """Smooth L1 loss of each patch: (B, P)."""
        return huber_nats(predicted, targets)

    def constant(self, targets: Tensor, mask: Tensor) -> Tensor:
        """The best constant vector: (width,)."""
        return huber_centre(targets, mask)

    def head_flops(self, patches: int) -> float:
        """FLOPs of the head."""
        return 2.0 * patches * self.width**2
