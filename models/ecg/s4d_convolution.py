"""Long convolutions by Fourier transforms, in groups of channels that stay in the processor's cache.

Written out in whole tensors, a convolution by transforms makes complex copies of twice the signal's
length at every turn, and fetching their memory takes longer than the transforms do. Here the
spectra of a few channels are made, used and dropped; the backward pass makes them again.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

CACHED = 1 << 17
"""Padded samples of a group of channels."""


def convolve(signals: Tensor, kernels: Tensor) -> Tensor:
    """Convolution of signals of L samples with kernels that reach L - 1 samples to either side.

    Transforms are float32 whatever the autocast.

    Parameters
    ----------
    signals : Tensor, (channels, B, L) float32
    kernels : Tensor, (channels, 2 L) float32
        Lag l at place l, lag -l at place 2 L - l; the place L has no effect.

    Returns
    -------
    Tensor, (channels, B, L)
    """
    convolved: Tensor = _Convolution.apply(signals, kernels)  # type: ignore[no-untyped-call]
    return convolved


def convolution_flops(channels: int, length: int) -> float:
    """FLOPs of ``convolve`` for one signal of each channel.

    A real transform of n samples counts 5/2 n log2 n (half a complex one's, Frigo & Johnson 2005),
    a complex product 6; transformed are signal and kernel, and back the result.
    """
    padded = 2 * length
    transform = 2.5 * padded * math.log2(padded)
    return channels * (3 * transform + 6 * (length + 1))


class _Convolution(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(signals: Tensor, kernels: Tensor) -> Tensor:
        return _filter(signals, torch.fft.rfft(kernels))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        signals, kernels = ctx.saved_tensors
        responses = torch.fft.rfft(kernels).conj()
        return _filter(grad, responses), _correlate(signals, grad)


def _filter(signals: Tensor, responses: Tensor) -> Tensor:
    """Signals with their spectra multiplied by (channels, L + 1) responses."""
    length = signals.shape[-1]
    parts = []
    for group in _groups(signals):
        spectra = torch.fft.rfft(signals[group], n=2 * length) * responses[group, None]
        parts.append(torch.fft.irfft(spectra, n=2 * length)[..., :length])
    return torch.cat(parts)


def _correlate(signals: Tensor, grad: Tensor) -> Tensor:
    """Gradient of the kernels, (channels, 2 L): correlation of signals and grad, summed over B."""
    padded = 2 * signals.shape[-1]
    parts = []
    for group in _groups(signals):
        spectra = torch.fft.rfft(signals[group], n=padded).conj() * torch.fft.rfft(grad[group], n=padded)
        parts.append(spectra.sum(1))
    correlated: Tensor = torch.fft.irfft(torch.cat(parts), n=padded)
    return correlated


def _groups(signals: Tensor) -> Iterator[slice]:
    """Slices of channels: few at a time on a CPU, all at once on a GPU."""
    channels, batch, length = signals.shape
    together = max(1, CACHED // (2 * length * batch)) if signals.device.type == "cpu" else channels
    return (slice(start, start + together) for start in range(0, channels, together))
