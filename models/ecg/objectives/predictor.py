"""JEPA's predictor: the student's features of a masked signal to the teacher's of the full one."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.ecg.objectives.layers import Linear

HEAD_DIM = 16
DEPTH = 2
EXPANSION = 4


def positions(length: int, width: int, device: torch.device) -> Tensor:
    """Sines and cosines of each place (Vaswani et al., arXiv 1706.03762, section 3.5): (length, width)."""
    rates = torch.exp(-math.log(10_000.0) * torch.arange(0, width, 2, device=device) / width)
    angles = torch.arange(length, device=device)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)


class Block(nn.Module):
    """Attention over all patches, then a feed-forward layer, each behind its norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.query_key_value = Linear(width, 3 * width)
        self.output = Linear(width, width)
        self.feed_norm = nn.LayerNorm(width)
        self.up = Linear(width, EXPANSION * width)
        self.down = Linear(EXPANSION * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, P, width) to (B, P, width)."""
        parts = self.query_key_value(self.attention_norm(x)).unflatten(-1, (3, -1, HEAD_DIM))
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        x = x + self.output(attended)
        fed: Tensor = self.down(functional.gelu(self.up(self.feed_norm(x))))
        return x + fed


class Predictor(nn.Module):
    """A narrow transformer; a learned query marks the masked patches, sinusoids tell their places.

    About half as wide as the backbone at every size, so that it scales as the backbone does; narrow as
    in Assran et al. (arXiv 2301.08243, appendix A.1), though shallower, for the features that it reads
    have mixed over time already. A masked patch keeps the student's feature, to which the query is
    added.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.narrow = HEAD_DIM * max(1, round(width / (2 * HEAD_DIM)))
        self.width = width
        self.project = Linear(width, self.narrow)
        self.mask_query = nn.Parameter(torch.zeros(self.narrow))
        self.blocks = nn.Sequential(*(Block(self.narrow) for _ in range(DEPTH)))
        self.norm = nn.LayerNorm(self.narrow)
        self.head = Linear(self.narrow, width)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Features (B, P, width) and mask (B, P) to predicted features (B, P, width)."""
        seen = self.project(features) + mask[..., None] * self.mask_query
        x = seen + positions(seen.shape[1], self.narrow, seen.device)
        predicted: Tensor = self.head(self.norm(self.blocks(x)))
        return predicted

    def flops(self, patches: int) -> float:
        """FLOPs of a forward pass over one crop."""
        matrices = (4 + 2 * EXPANSION) * self.narrow**2
        attention = 2 * patches * self.narrow
        ends = 2 * self.width * self.narrow
        return 2.0 * patches * (DEPTH * (matrices + attention) + ends)
