"""ConvNeXt over time: a convolutional network with a transformer's proportions.

Liu et al., arXiv 2201.03545: depthwise kernels of seven, inverted bottlenecks of four, GELU, layer norm,
layer scale (Touvron et al., arXiv 2103.17239) and stochastic depth (Huang et al., arXiv 1603.09382). No
norm follows the first convolution, so that absolute amplitude is seen.
"""

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from models.ecg.backbone import Backbone
from models.ecg.batch import LEADS
from models.ecg.convolution import Convolution, flops
from models.ecg.ladder import BASE
from models.ladder import width_of

KERNEL = 7
EXPANSION = 4
LAYER_SCALE = 1e-6

MASK = 0xFFFFFFFF
MULTIPLIER = 0x45D9F3B

RUNGS: Mapping[str, int] = MappingProxyType(
    {
        "20k": 8,
        "80k": 16,
        "200k": 24,
        "330k": 32,
        "600k": 40,
        "1m": 56,
        "2m": 80,
        "5m": 128,
        "20m": 184,
        "50m": 288,
        "85m": 320,
        "200m": 464,
    }
)
"""Width of each rung's first stage; names are the backbone's parameters, rounded."""


def build_convnext(size: str) -> "ConvNext":
    """ConvNeXt of the rung named ``size``.

    Raises
    ------
    ConfigError
        If the ladder has no such rung.
    """
    return ConvNext(width_of(size, RUNGS, "convnext"))


def depths_of(width: int) -> tuple[int, int, int]:
    """Blocks of the three stages: the ladder's one rule.

    As many blocks in the last stage as in the two before; one more of each for every 160 channels.

    Examples
    --------
    >>> depths_of(32), depths_of(184)
    ((1, 1, 2), (2, 2, 4))
    """
    depth = 1 + width // 160
    return depth, depth, 2 * depth


def drop_rate_of(width: int) -> float:
    """Rate at which the last block is dropped in training: wider networks are dropped more.

    Nothing below 128 channels, where a network underfits; then width / 1024, which is close to what
    Liu et al. chose for their sizes (0.1 to 0.5, table 5).

    Examples
    --------
    >>> drop_rate_of(80), drop_rate_of(128)
    (0.0, 0.125)
    """
    return width / 1024 if width >= 128 else 0.0


class ConvNext(Backbone):
    """Patches of four samples, then three stages of ``width``, 2 x and 4 x ``width`` channels.

    Stochastic depth drops a crop's branch in block i of n at the rate ``drop_rate`` i / n. Whether it
    does follows from the crop's own samples (``crop_hash``): a run that goes on after a stop drops the
    same branches, and crops do not depend on each other. In evaluation nothing is dropped.

    Parameters
    ----------
    width : int
        Channels of the first stage.
    """

    stride = 16

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = 4 * width
        self.depth = sum(depths_of(width))
        self.width_ratio = width / RUNGS[BASE]
        self.drop_rate = drop_rate_of(width)
        self.stem = Convolution(LEADS, width, 4, stride=4, bias=True)
        self.stages = nn.ModuleList(
            nn.ModuleList(Block(width << index) for _ in range(depth))
            for index, depth in enumerate(depths_of(width))
        )
        self.downsamplings = nn.ModuleList(downsampling(width << index) for index in range(2))
        self.norm = nn.LayerNorm(self.width)

    def layers(self, signals: Tensor) -> tuple[Tensor, ...]:
        """Outputs of the last stage's blocks, the last one normed."""
        keep = iter(self.keep(signals))
        x = signals
        outputs: list[Tensor] = []
        for enter, blocks in zip((self.stem, *self.downsamplings), self.stages, strict=True):
            x, outputs = enter(x), []
            for block in blocks.children():
                x = block(x, next(keep))
                outputs.append(x)
        return (*outputs[:-1], self.norm(x))

    def keep(self, signals: Tensor) -> Tensor:
        """Factor of each block's branch: 0 where it is dropped, 1 / (1 - rate) where it is kept.

        Returns
        -------
        Tensor, (depth, B, 1, 1), or (depth, 1, 1, 1) of ones where nothing is dropped
        """
        if not (self.training and self.drop_rate):
            return signals.new_ones(self.depth, 1, 1, 1)
        number = torch.arange(1, self.depth + 1, device=signals.device)[:, None]
        rate = self.drop_rate * number / self.depth
        kept = uniform(crop_hash(signals) + number) >= rate
        return (kept / (1 - rate))[:, :, None, None]

    def forward_flops(self, samples: int) -> float:
        """FLOPs of convolutions and linear layers over one crop, no branch being dropped."""
        entries = (self.stem, *self.downsamplings)
        return sum(
            flops(enter, samples // s) + flops(blocks, samples // s)
            for enter, blocks, s in zip(entries, self.stages, (4, 8, 16), strict=True)
        )


class Block(nn.Module):
    """Depthwise convolution, layer norm, inverted bottleneck and layer scale around a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            Convolution(width, width, KERNEL, groups=width, bias=True),
            nn.LayerNorm(width),
            nn.Linear(width, EXPANSION * width),
            nn.GELU(),
            nn.Linear(EXPANSION * width, width),
        )
        self.scale = nn.Parameter(torch.full((width,), LAYER_SCALE))

    def forward(self, x: Tensor, keep: Tensor) -> Tensor:
        """(B, L, width) to the same; ``keep`` is (B, 1, 1). The sum is float32: the scale is small."""
        branch: Tensor = self.branch(x)
        return x + branch * (self.scale * keep)


def downsampling(width: int) -> nn.Sequential:
    """Layer norm, then pairs of positions: (B, L, width) to (B, L / 2, 2 width)."""
    return nn.Sequential(nn.LayerNorm(width), Convolution(width, 2 * width, 2, stride=2, bias=True))


def crop_hash(signals: Tensor) -> Tensor:
    """Sum of the bits of each crop's samples, (B,) int64: exact, so the same in any order of summing."""
    return signals.detach().float().view(torch.int32).sum((1, 2), dtype=torch.int64)


def uniform(numbers: Tensor) -> Tensor:
    """Hash integers to [0, 1), as evenly as random numbers."""
    mixed = numbers & MASK
    for _ in range(2):
        mixed = ((mixed ^ (mixed >> 16)) * MULTIPLIER) & MASK
    return (mixed ^ (mixed >> 16)) / (MASK + 1)
