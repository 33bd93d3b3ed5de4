"""DinoSR: predict the code of a teacher's feature."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.ecg.backbone import Backbone
from models.ecg.batch import SignalBatch
from models.ecg.objectives.codebook import Codebook, code_nats, log_use
from models.ecg.objectives.layers import Linear
from models.ecg.objectives.masking import whole_patches
from models.ecg.objectives.normalisation import instance_norm
from models.ecg.objectives.taught import TaughtPrediction
from wardlaw.config.objective import ObjectiveSection


class DinoSr(TaughtPrediction):
    """Self-distillation and online clustering (Liu et al., arXiv 2305.10005, section 2).

    Each of the teacher's last ``target_layers`` blocks has a codebook; the code nearest to its
    feature is a masked patch's class, which a linear head of the student's final feature predicts. The
    loss is the mean cross-entropy over blocks, in nats. Features are instance-normed over the
    record's time first. A model that knows nothing has ln(codes); chance, the best constant, is the
    entropy of the codes' use.

    Federation: heads, mask's values and the teacher are averaged; so are the codebooks' sums and
    counts, which makes codes means weighted by use (see ``Codebook``). Records are coupled: a code moves by
    the mean of the batch's features that chose it. Against collapse stand the teacher's slow pace, the
    instance norm and the discrete targets; codes that fall out of use show as a chance below ln(codes).
    """

    def __init__(self, section: ObjectiveSection, backbone: Backbone) -> None:
        super().__init__(section, backbone)
        self.codes, self.target_layers = section.codes, section.target_layers
        self.head = Linear(self.width, self.target_layers * self.codes)
        self.codebooks = nn.ModuleList(
            Codebook(f"dinosr-{layer}", self.codes, self.width, section.code_decay)
            for layer in range(self.target_layers)
        )

    @torch.no_grad()
    def _nearest(self, features: Tensor, codebook: Codebook) -> Tensor:
        return functional.one_hot(codebook.distances(features).argmin(-1), self.codes).float()

    def targets(self, batch: SignalBatch) -> Tensor:
        """The code of each patch in each block, as 0 and 1: (B, P, target_layers, codes)."""
        own = whole_patches(batch, self.patch)
        chosen = []
        for codebook, layer in zip(
            self.codebooks, self.teacher.layers(batch.signals, self.target_layers), strict=True
        ):
            assert isinstance(codebook, Codebook)
            features = instance_norm(layer, own)
            shares = self._nearest(features, codebook)
            if self.learning:
                codebook.collect(features.flatten(0, 1), (shares * own[..., None]).flatten(0, 1))
            chosen.append(shares)
        return torch.stack(chosen, 2)

    def predict(self, features: Tensor, mask: Tensor) -> Tensor:
        """Logits: (B, P, target_layers, codes)."""
        logits: Tensor = self.head(features)
        return logits.view(*features.shape[:2], self.target_layers, self.codes)

    def nats(self, predicted: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy over blocks: (B, P)."""
        return code_nats(predicted, targets).mean(-1)

    def constant(self, targets: Tensor, mask: Tensor) -> Tensor:
        """Log of each code's use: (target_layers, codes)."""
        return log_use(targets, mask)

    def after_step(self, backbone: Backbone) -> None:
        """Teacher and codes follow."""
        super().after_step(backbone)
        for codebook in self.codebooks:
            assert isinstance(codebook, Codebook)
            codebook.follow()

    def head_flops(self, patches: int) -> float:
        """FLOPs of the heads."""
        return 2.0 * patches * self.width * self.target_layers * self.codes

    def target_flops(self, backbone: Backbone, samples: int) -> float:
        """FLOPs of the teacher's pass, of the search for codes and of their sums."""
        patches = samples // self.patch
        search_and_sums = 2 * 2.0 * patches * self.width * self.codes
        return super().target_flops(backbone, samples) + self.target_layers * search_and_sums
