"""S4D: a diagonal state-space model for ECG (Gu et al., arXiv 2206.11893).

Every block is norm, state-space convolution, GELU, gated linear unit and residual. Kernels reach both
ways, as in the bidirectional model of S4 (Goel et al., arXiv 2202.09729, section 4.2): a
classifier sees the whole record. All parameters are real: a complex one gets too little noise
when gradients are made private, and a federation averages float32.

Inside, a signal is (width, B, L): one product mixes the channels of all positions, one transform runs
along time, and nothing is ever transposed.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.ecg.backbone import Backbone
from models.ecg.batch import LEADS
from models.ecg.ladder import BASE
from models.ecg.s4d_convolution import convolution_flops, convolve
from models.ecg.s4d_kernel import kernel_flops, kernels
from models.ladder import width_of

RUNGS: Mapping[str, int] = MappingProxyType(
    {
        "20k": 32,
        "80k": 72,
        "200k": 128,
        "330k": 176,
        "600k": 248,
        "1m": 312,
        "2m": 392,
        "5m": 512,
        "20m": 832,
        "50m": 1152,
        "85m": 1376,
        "200m": 1856,
    }
)
"""Width of each rung; names are the backbone's parameters, rounded."""

STRIDE = 4
MODES = 16
DIRECTIONS = 2
SHORTEST, LONGEST = 0.001, 0.1
"""First steps dt of the channels, between these."""
NORM_EPSILON = 1e-6


def depth_of(width: int) -> int:
    """Blocks of the rung of a given width: width / 64, at least 4."""
    return max(4, width // 64)


class StateSpace(nn.Module):
    """Convolution of every channel with the two kernels of its own state-space model.

    Poles start as S4D-Lin, a_n = -1/2 + i pi n (equation 9), steps spread evenly on a log scale.

    Parameters
    ----------
    width : int
        Channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.log_dt = nn.Parameter(torch.linspace(math.log(SHORTEST), math.log(LONGEST), width))
        self.log_a_real = nn.Parameter(torch.full((width, MODES), math.log(0.5)))
        self.a_imag = nn.Parameter(math.pi * torch.arange(MODES, dtype=torch.float32).repeat(width, 1))
        self.c_real = nn.Parameter(torch.zeros(DIRECTIONS, width, MODES))
        self.c_imag = nn.Parameter(torch.zeros(DIRECTIONS, width, MODES))
        self.d = nn.Parameter(torch.ones(width))

    def kernels(self, length: int) -> Tensor:
        """Kernels as ``convolve`` takes them: (width, 2 length).

        The past's has lags from 0 on, the future's from -1 on; D is a part of lag 0.
        """
        poles = self.log_dt, self.log_a_real, self.a_imag
        past, future = kernels(*poles, self.c_real, self.c_imag, length)
        skip = functional.pad(self.d[:, None], (0, length - 1))
        return torch.cat((past + skip, future.flip(-1)), -1)

    def forward(self, x: Tensor) -> Tensor:
        """(width, B, L) float32 to the same."""
        return convolve(x, self.kernels(x.shape[-1]))


class Mix(nn.Module):
    """A linear layer over the first dimension."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(inputs, B, L) to (outputs, B, L)."""
        mixed = torch.addmm(self.bias[:, None], self.weight, x.flatten(1))
        return mixed.view(-1, *x.shape[1:])


class Block(nn.Module):
    """Norm, state-space model, GELU, gated linear unit (Dauphin et al., arXiv 1612.08083), residual.

    The norm has no gain: C and D scale every channel.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.state_space = StateSpace(width)
        self.gate = Mix(width, 2 * width)

    def forward(self, x: Tensor) -> Tensor:
        """(width, B, L) float32 to the same."""
        with torch.autocast(x.device.type, enabled=False):
            normed = x * torch.rsqrt(x.square().mean(0) + NORM_EPSILON)
            y = functional.gelu(self.state_space(normed))
        return x + functional.glu(self.gate(y), 0)


class S4D(Backbone):
    """Patch embedding of ``STRIDE`` samples, then blocks.

    Parameters
    ----------
    width, depth : int
    """

    VECTORS = frozenset({"log_a_real", "a_imag", "c_real", "c_imag"})
    DRAWN = MappingProxyType({"c_real": math.sqrt(0.5), "c_imag": math.sqrt(0.5)})

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.stride, self.width, self.depth = STRIDE, width, depth
        self.width_ratio = width / RUNGS[BASE]
        self.stem = Mix(STRIDE * LEADS, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.norm = nn.RMSNorm(width, eps=NORM_EPSILON)

    def layers(self, signals: Tensor) -> tuple[Tensor, ...]:
        """Outputs of all blocks: (B, L / 4, width) each."""
        patches = signals.reshape(len(signals), -1, STRIDE * LEADS)
        x = self.stem(patches.permute(2, 0, 1)).float()
        outputs = []
        for block in self.blocks:
            x = block(x)
            outputs.append(x.permute(1, 2, 0))
        return *outputs[:-1], self.norm(outputs[-1])

    def forward_flops(self, samples: int) -> float:
        """FLOPs over one crop; kernels, made once for a batch, are counted as for a batch of one."""
        length = samples // STRIDE
        block = (
            2.0 * length * 2 * self.width**2
            + kernel_flops(self.width, MODES, DIRECTIONS, length)
            + convolution_flops(self.width, length)
        )
        return 2.0 * length * STRIDE * LEADS * self.width + len(self.blocks) * block


def build_s4d(size: str) -> S4D:
    """S4D of a rung, with the constructor's values.

    Raises
    ------
    ConfigError
        If the ladder has no such rung.
    """
    width = width_of(size, RUNGS, "s4d")
    return S4D(width, depth_of(width))
