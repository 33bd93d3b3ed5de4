"""Layers of convolutional backbones, over activations that keep time before channels.

An activation (B, L, C) in plain memory order is, seen as an image (B, C, 1, L), one in PyTorch's
channels-last layout. So each layer here turns its input without copying it, and the convolution runs
in the layout that CPUs are fast in, above all in bfloat16.
"""

from collections.abc import Iterable
from itertools import accumulate

from torch import Tensor, nn

from models.ecg.batch import LEADS


class Convolution(nn.Conv2d):
    """Convolution over time: (B, L, inputs) to (B, L / stride, outputs).

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    kernel : int
        Samples of the kernel: odd, or equal to the stride (patches).
    stride, groups : int
        As in ``nn.Conv1d``; L is a multiple of the stride.
    bias : bool
        Whether each output has a bias: of no use before a norm over time.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, bias: bool = False
    ) -> None:
        padding = (kernel - stride + 1) // 2
        super().__init__(
            inputs, outputs, (1, kernel), (1, stride), padding=(0, padding), groups=groups, bias=bias
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, inputs) to (B, L / stride, outputs)."""
        return as_sequence(super().forward(as_image(x)))


class GroupNorm(nn.GroupNorm):
    """Group norm over time and groups of channels (Wu & He, arXiv 1803.08494).

    It has the most groups of at least 16 channels that divide ``width``. Samples do not see each
    other, as they do in batch norm, so a gradient can be private per record and sites with other
    devices do not share statistics. Sixteen channels is also where PyTorch's kernel is fast.
    """

    def __init__(self, width: int, gain: float = 1.0) -> None:
        super().__init__(groups_of(width), width)
        nn.init.constant_(self.weight, gain)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, width) to the same."""
        return as_sequence(super().forward(as_image(x)))


def groups_of(width: int, least: int = 16) -> int:
    """Number of groups of a group norm: the largest divisor of ``width`` that leaves ``least`` channels.

    Examples
    --------
    >>> [groups_of(width) for width in (8, 24, 40, 64)]
    [1, 1, 2, 4]
    """
    return max(groups for groups in range(1, max(1, width // least) + 1) if width % groups == 0)


def as_image(x: Tensor) -> Tensor:
    """View (B, L, C) as the channels-last image (B, C, 1, L)."""
    return x.transpose(1, 2).unsqueeze(2)


def as_sequence(x: Tensor) -> Tensor:
    """View the image (B, C, 1, L) as (B, L, C)."""
    return x.squeeze(2).transpose(1, 2)


def convolve(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, group norm and ReLU."""
    return nn.Sequential(Convolution(inputs, outputs, kernel, stride, groups), GroupNorm(outputs), nn.ReLU())


def read_leads(width: int, kernel: int, stride: int) -> nn.Sequential:
    """First layer of a backbone: convolution with a bias, and ReLU: (B, L, leads) to (B, L / stride, width).

    No norm follows. One would make a crop and its double the same to all later layers, and low
    voltage is a diagnosis; past the bias and ReLU, norms leave absolute amplitude readable.
    """
    return nn.Sequential(Convolution(LEADS, width, kernel, stride, bias=True), nn.ReLU())


def last_stage(stages: Iterable[nn.Module], x: Tensor) -> list[Tensor]:
    """Send ``x`` through stages of blocks; outputs of the last stage's blocks, each (B, L, C)."""
    outputs: list[Tensor] = []
    for stage in stages:
        outputs = list(accumulate(stage.children(), lambda y, block: block(y), initial=x))[1:]
        x = outputs[-1]
    return outputs


def flops(module: nn.Module, positions: int) -> float:
    """FLOPs of the convolutions and linear layers within ``module``, each giving ``positions`` outputs.

    A weight is used once an output position, whatever the groups: 2 x weights x positions, where a
    convolution's padding counts as samples, as PyTorch's own counter has it.
    """
    layers = (layer for layer in module.modules() if isinstance(layer, nn.Conv2d | nn.Linear))
    return 2.0 * positions * sum(layer.weight.numel() for layer in layers)
