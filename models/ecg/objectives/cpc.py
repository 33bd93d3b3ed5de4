"""CPC: tell a record's next patches from patches of others."""

import math
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.ecg.backbone import Backbone, over_patches
from models.ecg.batch import LEADS, SignalBatch
from models.ecg.objectives.layers import Linear
from models.ecg.objectives.masking import patches_of, whole_patches
from models.ecg.objectives.objective import Objective, RecordLosses
from wardlaw.config.objective import ObjectiveSection
from wardlaw.seeds import generator

HIDDEN = 128
CODE = 64
"""Sizes of the patch encoder, the same for every backbone, so that what is predicted is as well."""


class Cpc(Objective):
    """Contrastive predictive coding (van den Oord et al., arXiv 1807.03748, equations 3 and 4).

    The backbone reads the crop up to a cut, ``steps_predicted`` patches before its end; the feature of the
    last patch before it is the context. A small encoder of the raw samples of single patches makes
    codes, and for each step a bilinear form scores the true patch and ``negatives`` others: InfoNCE in
    nats a predicted patch, of which a model that knows nothing has exactly ln(1 + negatives). Codes are
    normalised and scores divided by the square root of their size, or a single artefact of many mV
    would decide a batch.

    The cut is ours. The paper's context network is causal and predicts from every place at once; here
    families look both ways (attention, centred convolutions, norms over time), so that a context inside the
    crop would have seen what it is to predict. After the cut there is nothing to see. The price is one
    context a crop.

    Federation: the encoder and the heads are averaged; nothing else is kept. Records are coupled: negatives
    are patches of the batch's other records and of the record's own part before the cut, drawn with
    replacement by the record's seed, the same for all of its steps. A constant feature has chance's loss, so
    nothing is won by a collapse.
    """

    target: ClassVar[str] = "predicted patch"

    def __init__(self, section: ObjectiveSection, backbone: Backbone) -> None:
        super().__init__()
        self.patch, self.width = backbone.patch, backbone.width
        self.steps, self.negatives = section.steps_predicted, section.negatives
        self.stem = nn.Sequential(Linear(self.patch * LEADS, HIDDEN), nn.GELU(), Linear(HIDDEN, CODE))
        self.head = Linear(self.width, self.steps * CODE, bias=False)

    def context(self, backbone: Backbone, signals: Tensor) -> Tensor:
        """Feature of the last patch before the cut: (B, L, leads) to (B, width)."""
        before = signals[:, : signals.shape[1] - self.steps * self.patch]
        return over_patches(backbone(before), backbone)[:, -1]

    def encode(self, signals: Tensor) -> Tensor:
        """Code of each patch from its own samples, of unit variance: (B, P, CODE) float32."""
        codes = self.stem(patches_of(signals, self.patch).flatten(2)).float()
        return functional.layer_norm(codes, (CODE,))

    def losses(self, backbone: Backbone, batch: SignalBatch) -> RecordLosses:
        """Nats of each crop's predicted patches."""
        codes = self.encode(batch.signals)
        predicted = self.head(self.context(backbone, batch.signals)).unflatten(1, (self.steps, CODE)).float()
        wrong = codes.flatten(0, 1)[self._draw_negatives(batch)]
        with torch.autocast(codes.device.type, enabled=False):
            right_scores = (predicted * codes[:, -self.steps :]).sum(-1, keepdim=True)
            scores = torch.cat([right_scores, predicted @ wrong.transpose(1, 2)], -1) / CODE**0.5
        nats = -functional.log_softmax(scores, -1)[..., 0]
        counted = self._predicted(batch)
        return RecordLosses(torch.where(counted, nats, 0).sum(1), counted.sum(1))

    def chance(self, backbone: Backbone, batch: SignalBatch) -> RecordLosses:
        """Of equal scores: ln(1 + negatives) a predicted patch."""
        targets = self._predicted(batch).sum(1)
        return RecordLosses(targets * math.log(1 + self.negatives), targets)

    def training_flops(self, backbone: Backbone, samples: int) -> float:
        """Three passes of the backbone up to the cut, of the encoder, the heads and the scores."""
        encoder = samples // self.patch * (self.patch * LEADS * HIDDEN + HIDDEN * CODE)
        heads = self.steps * CODE * (self.width + self.negatives)
        before = samples - self.steps * self.patch
        return 3 * (backbone.forward_flops(before) + 2.0 * (encoder + heads))

    def _predicted(self, batch: SignalBatch) -> Tensor:
        """Patches after the cut that are wholly the record's own: (B, steps) bool."""
        return whole_patches(batch, self.patch)[:, -self.steps :]

    def _draw_negatives(self, batch: SignalBatch) -> Tensor:
        """Places of each record's negatives among all (B P) patches: (B, negatives)."""
        own = whole_patches(batch, self.patch).cpu().numpy()
        pool = np.flatnonzero(own)
        ends = own.sum(1).cumsum()[:, None]
        excluded = own[:, -self.steps :].sum(1)[:, None]
        draws = np.stack(
            [generator(seed, "negatives").random(self.negatives) for seed in batch.seeds.tolist()]
        )
        places = (draws * (len(pool) - excluded)).astype(np.int64)
        places += excluded * (places >= ends - excluded)
        return torch.from_numpy(pool[places]).to(batch.signals.device)
