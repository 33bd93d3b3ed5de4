"""A state-space model for engines that know no Fourier transform: its convolutions as matrix products.

ONNX Runtime's transform is slow and OpenVINO converts none, while both are good at products. The kernels
do not change any more, so their transforms are made once.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn

from models.ecg.s4d import S4D, Block


class FixedConvolution(nn.Module):
    """What ``s4d_convolution.convolve`` computes, for fixed kernels.

    Parameters
    ----------
    kernels : Tensor, (width, 2 L)
        As ``convolve`` takes them.
    """

    forwards: Tensor
    backwards: Tensor
    real: Tensor
    imaginary: Tensor

    def __init__(self, kernels: Tensor) -> None:
        super().__init__()
        length = kernels.shape[-1] // 2
        forwards, backwards = transforms(length)
        self.register_buffer("forwards", forwards)
        self.register_buffer("backwards", backwards)
        responses = torch.fft.rfft(kernels.detach()).unsqueeze(1)
        self.register_buffer("real", responses.real.contiguous())
        self.register_buffer("imaginary", responses.imag.contiguous())

    def forward(self, x: Tensor) -> Tensor:
        """(width, B, L) to the same."""
        real, imaginary = (x @ self.forwards).chunk(2, -1)
        products = (
            real * self.real - imaginary * self.imaginary,
            real * self.imaginary + imaginary * self.real,
        )
        return torch.cat(products, -1) @ self.backwards


def transforms(length: int) -> tuple[Tensor, Tensor]:
    """Real transform of a signal padded to twice its length, and its inverse cut to the length, as matrices.

    Returns
    -------
    forwards : Tensor, (L, 2 L + 2)
        To the real parts of the L + 1 frequencies, then their imaginary parts.
    backwards : Tensor, (2 L + 2, L)
    """
    padded = 2 * length
    spectra = torch.fft.rfft(torch.eye(padded, dtype=torch.float64))[:length]
    frequencies = torch.eye(length + 1, dtype=torch.complex128)
    inverse = torch.cat((torch.fft.irfft(frequencies, padded), torch.fft.irfft(1j * frequencies, padded)))
    return torch.cat((spectra.real, spectra.imag), 1).float(), inverse[:, :length].float().contiguous()


@torch.no_grad()
def with_fixed_kernels(backbone: S4D, samples: int) -> S4D:
    """Copy of a backbone for crops of ``samples`` samples, with the same answers."""
    fixed = deepcopy(backbone)
    for block in fixed.blocks:
        assert isinstance(block, Block)
        kernels = block.state_space.kernels(samples // backbone.stride)
        block.set_submodule("state_space", FixedConvolution(kernels))
    return fixed
