"""ResNet over time: the residual network of He et al. with the tricks that made it last.

He et al., arXiv 1512.03385, with those of He et al., arXiv 1812.01187: a stem of three convolutions
(section 4.2, ResNet-C), shortcuts that average before they project (ResNet-D), and a last gain of zero
in each branch (section 3.1), so that blocks start as the identity. One dimension and kernels of five
samples follow Strodthoff et al., arXiv 2004.13701. Group norm stands for batch norm, and the first layer has
none, so that absolute amplitude is seen.
"""

from collections.abc import Mapping
from itertools import pairwise
from types import MappingProxyType

from torch import Tensor, nn
from torch.nn import functional

from models.ecg.backbone import Backbone
from models.ecg.convolution import (
    Convolution,
    GroupNorm,
    as_image,
    as_sequence,
    convolve,
    flops,
    last_stage,
    read_leads,
)
from models.ecg.ladder import BASE
from models.ladder import width_of

KERNEL = 5

RUNGS: Mapping[str, int] = MappingProxyType(
    {
        "20k": 8,
        "80k": 16,
        "200k": 24,
        "330k": 32,
        "600k": 40,
        "1m": 56,
        "2m": 80,
        "5m": 120,
        "20m": 168,
        "50m": 264,
        "85m": 288,
        "200m": 424,
    }
)
"""Width of each rung's first stage; names are the backbone's parameters, rounded."""


def build_resnet(size: str) -> "ResNet":
    """ResNet of the rung named ``size``.

    Raises
    ------
    ConfigError
        If the ladder has no such rung.
    """
    return ResNet(width_of(size, RUNGS, "resnet"))


def depths_of(width: int) -> tuple[int, int, int]:
    """Blocks of the three stages: the ladder's one rule.

    As many blocks in the last stage as in the two before, where a block has the most parameters and
    the fewest positions; one more of each for every 144 channels.

    Examples
    --------
    >>> depths_of(32), depths_of(168)
    ((1, 1, 2), (2, 2, 4))
    """
    depth = 1 + width // 144
    return depth, depth, 2 * depth


class ResNet(Backbone):
    """Stem and three stages of basic blocks, of ``width``, 2 x and 4 x ``width`` channels.

    Stem and pooling divide time by four, the second and third stage by two each.

    Parameters
    ----------
    width : int
        Channels of the first stage, even.
    """

    stride = 16

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = (width, width, 2 * width, 4 * width)
        self.width = widths[-1]
        self.depth = sum(depths_of(width))
        self.width_ratio = width / RUNGS[BASE]
        self.stem = nn.Sequential(
            read_leads(width // 2, KERNEL, stride=2),
            convolve(width // 2, width // 2, KERNEL),
            convolve(width // 2, width, KERNEL),
        )
        self.stages = nn.ModuleList(
            stage(inputs, outputs, depth)
            for (inputs, outputs), depth in zip(pairwise(widths), depths_of(width), strict=True)
        )
        self.norm = nn.LayerNorm(self.width)

    def layers(self, signals: Tensor) -> tuple[Tensor, ...]:
        """Outputs of the last stage's blocks, the last one normed."""
        *earlier, last = last_stage(self.stages, halve_by_maximum(self.stem(signals)))
        return (*earlier, self.norm(last))

    def forward_flops(self, samples: int) -> float:
        """FLOPs of the convolutions over one crop."""
        stages = zip(self.stages, (4, 8, 16), strict=True)
        return flops(self.stem, samples // 2) + sum(flops(blocks, samples // s) for blocks, s in stages)


class Block(nn.Module):
    """Basic block: two convolutions and a shortcut, then ReLU; time is halved if the channels grow."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            convolve(inputs, outputs, KERNEL, stride=2 if outputs > inputs else 1),
            Convolution(outputs, outputs, KERNEL),
            GroupNorm(outputs, gain=0.0),
        )
        self.shortcut = (
            nn.Sequential(HalfRate(), Convolution(inputs, outputs, 1), GroupNorm(outputs))
            if outputs > inputs
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, inputs) to (B, L, outputs), or (B, L / 2, outputs)."""
        return functional.relu(self.shortcut(x) + self.branch(x))


class HalfRate(nn.Module):
    """Mean of each two neighbouring positions."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, C) to (B, L / 2, C)."""
        return as_sequence(functional.avg_pool2d(as_image(x), (1, 2)))


def stage(inputs: int, outputs: int, depth: int) -> nn.Sequential:
    """Blocks at one resolution; the first halves it where it doubles the channels."""
    return nn.Sequential(Block(inputs, outputs), *(Block(outputs, outputs) for _ in range(depth - 1)))


def halve_by_maximum(x: Tensor) -> Tensor:
    """Maximum over three positions, every second one: (B, L, C) to (B, L / 2, C)."""
    return as_sequence(functional.max_pool2d(as_image(x), (1, 3), (1, 2), (0, 1)))
