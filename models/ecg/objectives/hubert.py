"""HuBERT-style prediction of codes of the spectrum, balanced by Sinkhorn-Knopp."""

import torch
from torch import Tensor

from models.ecg.backbone import Backbone
from models.ecg.batch import LEADS, SignalBatch
from models.ecg.objectives.codebook import Codebook, code_nats, log_use
from models.ecg.objectives.layers import Linear
from models.ecg.objectives.masked import MaskedPrediction
from models.ecg.objectives.masking import patches_of, whole_patches
from models.ecg.objectives.normalisation import instance_norm
from models.ecg.objectives.sinkhorn import sinkhorn
from wardlaw.config.objective import ObjectiveSection


def spectra(signals: Tensor, patch: int) -> Tensor:
    """Log spectrum of each patch: (B, L, leads) to (B, L / patch, (patch / 2 + 1) leads).

    The logarithm of 1 plus the magnitude of the real Fourier transform of each lead.
    """
    magnitudes: Tensor = torch.fft.rfft(patches_of(signals, patch), dim=2).abs()
    return magnitudes.log1p().flatten(2)


class Hubert(MaskedPrediction):
    """Masked prediction of cluster assignments (Hsu et al., arXiv 2106.07447, section II).

    What is clustered is fixed, as the MFCCs of HuBERT's first iteration are: the log spectrum of each patch
    and lead, instance-normed over the record's time. In place of offline k-means a codebook
    follows the batches, and a target is a patch's soft assignment by the mean squared distance over
    ``temperature``, balanced by Sinkhorn-Knopp. The loss is the cross-entropy with those soft targets,
    in nats: its floor is their entropy, not 0. A model that knows nothing has ln(codes); chance, the
    best constant, is the entropy of the codes' use, which balance keeps close to that.

    Federation: the head, the mask's values and the codebook's sums and counts are averaged (see
    ``Codebook``). Records are coupled: Sinkhorn-Knopp balances the targets over the whole batch, in
    evaluation too, where a loss therefore depends on how records are batched. Against collapse
    stand the features, which are data, and the balance, which keeps codes in use as far as it goes: codes
    that fall out of use show as a chance below ln(codes).
    """

    def __init__(self, section: ObjectiveSection, backbone: Backbone) -> None:
        super().__init__(section, backbone)
        self.codes, self.temperature = section.codes, section.temperature
        self.spectrum = (self.patch // 2 + 1) * LEADS
        self.head = Linear(self.width, self.codes)
        self.codebook = Codebook("hubert", self.codes, self.spectrum, section.code_decay)

    @torch.no_grad()
    def _assigned(self, features: Tensor, own: Tensor) -> Tensor:
        scores = -self.codebook.distances(features) / (self.spectrum * self.temperature)
        return sinkhorn(scores.flatten(0, 1), own.flatten()).view_as(scores)

    def targets(self, batch: SignalBatch) -> Tensor:
        """Balanced assignment of each patch: (B, P, codes), a distribution over codes."""
        own = whole_patches(batch, self.patch)
        features = instance_norm(spectra(batch.signals, self.patch), own)
        shares = self._assigned(features, own)
        if self.learning:
            self.codebook.collect(features.flatten(0, 1), (shares * own[..., None]).flatten(0, 1))
        return shares

    def predict(self, features: Tensor, mask: Tensor) -> Tensor:
        """Logits: (B, P, codes)."""
        logits: Tensor = self.head(features)
        return logits

    def nats(self, predicted: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy of each patch: (B, P)."""
        return code_nats(predicted, targets)

    def constant(self, targets: Tensor, mask: Tensor) -> Tensor:
        """Log of each code's use: (codes,)."""
        return log_use(targets, mask)

    def after_step(self, backbone: Backbone) -> None:
        """The codes follow the batch."""
        self.codebook.follow()

    def head_flops(self, patches: int) -> float:
        """FLOPs of the head."""
        return 2.0 * patches * self.width * self.codes

    def target_flops(self, backbone: Backbone, samples: int) -> float:
        """FLOPs of distances to codes and of their sums; the spectrum is not counted."""
        return 2 * 2.0 * (samples // self.patch) * self.spectrum * self.codes
