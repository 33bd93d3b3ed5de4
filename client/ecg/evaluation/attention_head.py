"""A head that learns where in a crop each diagnosis shows."""

import torch
from torch import Tensor, nn

from models.ecg.objectives.layers import Linear


class AttentionHead(nn.Module):
    """Attention pooling of patch features with a map for each class.

    A class's logit is the mean of its linear answers to the patches, weighted by a softmax of its
    linear attention over the crop's own patches (Ilse et al., arXiv 1802.04712, equation 8, with linear
    attention). It begins as mean pooling with constant answers.

    Parameters
    ----------
    features : Tensor, (n, width)
        Features of the train split, by which patches are standardised.
    frequency : Tensor, (classes,)
        Share of records with each class, strictly between 0 and 1: its log-odds are the first answer.
    """

    center: Tensor
    scale: Tensor

    def __init__(self, features: Tensor, frequency: Tensor) -> None:
        super().__init__()
        self.register_buffer("center", features.mean(0))
        self.register_buffer("scale", features.std(0, correction=0).clamp(min=1e-6))
        self.attention = Linear(features.shape[1], len(frequency))
        self.answer = Linear(features.shape[1], len(frequency))
        with torch.no_grad():
            self.answer.bias.copy_(torch.logit(frequency))

    def forward(self, features: Tensor, own: Tensor) -> Tensor:
        """(B, P, width) features and (B, P) bool to logits (B, classes).

        Of a crop without a whole patch of its own the first patch is read.
        """
        own = own | (torch.arange(own.shape[1], device=own.device) == 0)
        patches = (features - self.center) / self.scale
        weights = self.attention(patches).masked_fill(~own[..., None], -torch.inf).softmax(1)
        logits: Tensor = (weights * self.answer(patches)).sum(1)
        return logits
