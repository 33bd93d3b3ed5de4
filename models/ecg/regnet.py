"""RegNet over time: the design space of the scaling study of convolutional ECG networks.

Radosavovic et al., arXiv 2003.13678, section 3.3, in one dimension, with the ranges of the study
"Learning to scale: deriving data-driven scaling laws for ECG-optimized CNNs" (EHJ Digital Health 2025),
which ``RegnetSection`` documents. Group norm stands for batch norm, and the stem has none, so that absolute
amplitude is seen.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from torch import Tensor, nn
from torch.nn import functional

from models.ecg.backbone import Backbone
from models.ecg.convolution import Convolution, GroupNorm, convolve, flops, last_stage, read_leads
from models.ecg.ladder import BASE
from models.ladder import width_of
from wardlaw.config.model import CUSTOM, ModelSection, RegnetSection

QUANTUM = 8
KERNEL = 3
MAX_STAGES = 7
MAX_EXPONENT = 7

RUNGS: Mapping[str, int] = MappingProxyType(
    {
        "25k": 16,
        "80k": 32,
        "200k": 48,
        "330k": 64,
        "600k": 80,
        "1m": 112,
        "2m": 144,
        "5m": 224,
        "20m": 384,
        "50m": 544,
        "85m": 640,
        "200m": 896,
    }
)
"""Width of each rung's first stage; names are the backbone's parameters, rounded."""


@dataclass(frozen=True)
class Stage:
    """Blocks at one resolution.

    Attributes
    ----------
    width : int
        Channels.
    depth : int
        Blocks.
    """

    width: int
    depth: int


def build_regnet(section: ModelSection) -> "RegNet":
    """RegNet of a run's ``[model]``: a rung, or ``model.regnet`` where the size is ``custom``.

    Raises
    ------
    ConfigError
        If the ladder has no such rung.
    """
    if section.size != CUSTOM:
        return RegNet(design_of(width_of(section.size, RUNGS, "regnet")))
    return RegNet(section.regnet)


def design_of(width: int) -> RegnetSection:
    """Design of the rung whose first stage has ``width`` channels: the ladder's one rule.

    - widths double from stage to stage (w_m = 2) and grow to four times the first over the blocks
      (w_a), which gives three stages and, with the stem, a stride of 16;
    - depth: four blocks, and one more for every 80 channels;
    - groups of eight channels, no bottleneck, no squeeze, a stem of three samples.
    """
    depth = 4 + width // 80
    return RegnetSection(depth=depth, w_0=width, w_a=3 * width / (depth - 1), w_m=2.0)


def stages_of(design: RegnetSection) -> tuple[Stage, ...]:
    """Stages of a design (Radosavovic et al., equations 2 to 4).

    Block j would have w_0 + w_a j channels; it gets w_0 w_m^s, with s the whole number that comes
    nearest, rounded to a multiple of eight. Blocks of one width are a stage. As in the study, s is at
    most 7, and stages beyond the seventh join it.

    Examples
    --------
    >>> stages_of(RegnetSection(depth=5, w_0=32, w_a=24, w_m=2))
    (Stage(width=32, depth=1), Stage(width=64, depth=2), Stage(width=128, depth=2))
    """
    growth = (1 + design.w_a * block / design.w_0 for block in range(design.depth))
    exponents = [min(MAX_EXPONENT, round(math.log(ratio) / math.log(design.w_m))) for ratio in growth]
    widths = [QUANTUM * round(design.w_0 * design.w_m**exponent / QUANTUM) for exponent in exponents]
    distinct = sorted(set(widths))[:MAX_STAGES]
    joined = [min(width, distinct[-1]) for width in widths]
    return tuple(Stage(width, joined.count(width)) for width in distinct)


class RegNet(Backbone):
    """Stem, then stages of residual blocks with grouped convolutions.

    The stem and each stage halve time: the stride is 2^(stages + 1).

    Parameters
    ----------
    design : RegnetSection
        Its kernel is odd.
    """

    def __init__(self, design: RegnetSection) -> None:
        super().__init__()
        plan = stages_of(design)
        self.width, self.depth = plan[-1].width, design.depth
        self.width_ratio = self.width / (4 * RUNGS[BASE])
        self.stride = 2 << len(plan)
        self.stem = read_leads(design.w_0, design.kernel, stride=2)
        inputs = [design.w_0, *(stage.width for stage in plan)]
        self.stages = nn.ModuleList(
            nn.Sequential(
                Block(before, stage.width, 2, design),
                *(Block(stage.width, stage.width, 1, design) for _ in range(stage.depth - 1)),
            )
            for before, stage in zip(inputs, plan, strict=False)
        )
        self.norm = nn.LayerNorm(self.width)

    def layers(self, signals: Tensor) -> tuple[Tensor, ...]:
        """Outputs of the last stage's blocks, and the last one normed."""
        outputs = last_stage(self.stages, self.stem(signals))
        return (*outputs, self.norm(outputs[-1]))

    def forward_flops(self, samples: int) -> float:
        """FLOPs of the convolutions and of squeeze-and-excitation over one crop."""
        positions = samples // 2
        total = flops(self.stem, positions)
        for block in (module for module in self.modules() if isinstance(module, Block)):
            total += block.forward_flops(positions)
            positions //= block.stride
        return total


class Block(nn.Module):
    """Pointwise, grouped and pointwise convolution around a shortcut, then ReLU.

    The inner width is the design's ``bottleneck`` times the outer one, made a multiple of the group
    width, which itself is at most the inner width.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    stride : int
        Of the grouped convolution and the shortcut.
    design : RegnetSection
    """

    def __init__(self, inputs: int, outputs: int, stride: int, design: RegnetSection) -> None:
        super().__init__()
        self.stride = stride
        wanted = max(1, round(outputs * design.bottleneck))
        group = min(design.group_width, wanted)
        groups = round(wanted / group)
        inner = groups * group
        self.enter = convolve(inputs, inner, 1)
        self.mix = convolve(inner, inner, KERNEL, stride, groups)
        hidden = round(design.squeeze * inputs)
        self.excite = SqueezeExcitation(inner, hidden) if hidden else nn.Identity()
        self.leave = nn.Sequential(Convolution(inner, outputs, 1), GroupNorm(outputs, gain=0.0))
        self.shortcut = (
            nn.Sequential(Convolution(inputs, outputs, 1, stride), GroupNorm(outputs))
            if stride > 1
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, inputs) to (B, L / stride, outputs)."""
        branch = self.leave(self.excite(self.mix(self.enter(x))))
        return functional.relu(self.shortcut(x) + branch)

    def forward_flops(self, positions: int) -> float:
        """FLOPs over one crop of ``positions`` positions."""
        after = positions // self.stride
        strided = sum(flops(part, after) for part in (self.mix, self.leave, self.shortcut))
        return flops(self.enter, positions) + strided + flops(self.excite, 1)


class SqueezeExcitation(nn.Module):
    """Gates of the channels from their means over time (Hu et al., arXiv 1709.01507, section 3)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gates = nn.Sequential(
            nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, width) to the same."""
        gates: Tensor = self.gates(x.mean(1, keepdim=True))
        return x * gates
