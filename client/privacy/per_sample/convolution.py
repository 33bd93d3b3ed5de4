"""Patients' gradients of convolutions over time and, with one tap, of linear layers.

A kernel's tap j sees every stride-th position of the padded input, from position j on. The gradient of
the tap's matrix is one product of those positions with the output's gradient, over a patient's own
positions; activations that keep time before channels are read in place.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from client.privacy.per_sample.contribution import (
    Contribution,
    Explicit,
    Implicit,
    widened,
    without_dropped,
)
from models.ecg.convolution import Convolution, as_image
from models.ecg.s4d import Mix

Contributions = dict[str, Contribution]

ROUNDING = 1e-12
"""Square of what float32 leaves uncertain of a sum, relative to its terms: (8 x 2^-23)^2."""


def of_convolution(layer: Convolution, x: Tensor, grad: Tensor, patients: int) -> Contributions:
    """Weight and bias of a convolution, from its input (B, L, C) and its output's gradient (B, T, O)."""
    found: Contributions = {}
    if layer.bias is not None:
        found["bias"] = summed_over_time(grad, patients)
    positions = grad.shape[0] // patients * grad.shape[1]
    if layer.groups == 1 and norms_are_cheaper(positions, layer.weight.numel()):
        found["weight"] = implicit_convolution(layer, widened(x), widened(grad), patients)
    else:
        taps = taps_of(layer, x, grad.shape[1])
        found["weight"] = Explicit(tap_gradients(taps, grad, patients, layer.groups))
    return found


def of_linear(layer: nn.Linear, x: Tensor, grad: Tensor, patients: int) -> Contributions:
    """Weight and bias of a linear layer over the last dimension of (B, ..., I)."""
    return matrix_contributions(
        x.reshape(patients, -1, x.shape[-1]), grad.reshape(patients, -1, grad.shape[-1]), layer.bias
    )


def of_mix(layer: Mix, x: Tensor, grad: Tensor, patients: int) -> Contributions:
    """Weight and bias of a linear layer over the first dimension of (I, B, L)."""
    inputs, outputs = (values.reshape(len(values), patients, -1).permute(1, 2, 0) for values in (x, grad))
    return matrix_contributions(inputs, outputs, layer.bias)


def matrix_contributions(x: Tensor, grad: Tensor, bias: Tensor | None) -> Contributions:
    """Matrix (O, I) and bias (O,), from inputs (n, positions, I) and gradients (n, positions, O)."""
    found: Contributions = {}
    if bias is not None:
        found["bias"] = summed_over_time(grad, len(grad))
    if norms_are_cheaper(x.shape[1], x.shape[2] * grad.shape[2]):
        x, grad = widened(x), widened(grad)
        squares = inner(gram(x), gram(grad))

        def weighted_sum(factors: Tensor) -> Tensor:
            scaled = without_dropped(grad, factors) * factors[:, None, None]
            return scaled.flatten(0, 1).mT @ without_dropped(x, factors).flatten(0, 1)

        found["weight"] = Implicit(squares, weighted_sum)
    else:
        found["weight"] = Explicit(widened(grad.mT @ x.to(grad.dtype)))
    return found


def norms_are_cheaper(positions: int, weights: int) -> bool:
    """Whether norms from products of positions cost less than gradients of all weights.

    Two matrices of positions^2 products against a gradient (Bu et al., arXiv 2205.10683, section 4); in
    float64 a product counts twice.
    """
    return 4 * positions**2 < weights


def taps_of(layer: Convolution, x: Tensor, positions: int) -> list[Tensor]:
    """Inputs that each tap of a kernel sees: (B, positions, C) each."""
    kernel, stride, padding = layer.kernel_size[1], layer.stride[1], int(layer.padding[1])
    padded = functional.pad(x, (0, 0, padding, padding))
    return [padded[:, tap : tap + stride * (positions - 1) + 1 : stride] for tap in range(kernel)]


def tap_gradients(taps: list[Tensor], grad: Tensor, patients: int, groups: int) -> Tensor:
    """Gradients (n, O, C / groups, 1, taps) of a kernel, a patient's crops summed."""
    output = grouped(grad, patients, groups)
    found = [
        torch.einsum("nktgo,nktgc->ngoc", output, grouped(tap.to(grad.dtype), patients, groups))
        for tap in taps
    ]
    return widened(torch.stack(found, -1).flatten(1, 2).unsqueeze(-2))


def grouped(x: Tensor, patients: int, groups: int) -> Tensor:
    """(B, T, C) as (n, crops, T, groups, C / groups)."""
    return x.view(patients, len(x) // patients, x.shape[1], groups, -1)


def implicit_convolution(layer: Convolution, x: Tensor, grad: Tensor, patients: int) -> Implicit:
    """Norms from the products of all pairs of a patient's positions."""
    output = grad.reshape(patients, -1, grad.shape[-1])
    squares = inner(window_products(layer, x, grad.shape[1], patients), gram(output))

    def weighted_sum(factors: Tensor) -> Tensor:
        per_crop = factors.repeat_interleave(len(grad) // patients)
        scaled = without_dropped(grad, per_crop) * per_crop[:, None, None]
        return weight_gradient(layer, without_dropped(x, per_crop), scaled)

    return Implicit(squares, weighted_sum)


def window_products(layer: Convolution, x: Tensor, positions: int, patients: int) -> Tensor:
    """Inner products of what the kernel sees at each two positions: (n, crops T, crops T).

    Those of single positions, summed along the kernel's taps: less work than those of windows.
    """
    kernel, stride, padding = layer.kernel_size[1], layer.stride[1], int(layer.padding[1])
    padded = functional.pad(x, (0, 0, padding, padding))
    crops, length = len(x) // patients, padded.shape[1]
    flat = padded.reshape(patients, crops * length, -1)
    products = gram(flat).view(patients, crops, length, crops, length)
    span = stride * (positions - 1) + 1
    seen = (slice(tap, tap + span, stride) for tap in range(kernel))
    total = sum((products[:, :, places, :, places] for places in seen), torch.zeros((), dtype=products.dtype))
    return total.reshape(patients, crops * positions, crops * positions)


def weight_gradient(layer: Convolution, x: Tensor, grad: Tensor) -> Tensor:
    """Gradient of a convolution's weight, summed over the batch."""
    found: Tensor = torch.ops.aten.convolution_backward(
        as_image(grad),
        as_image(x),
        layer.weight.detach().to(x.dtype),
        None,
        layer.stride,
        layer.padding,
        layer.dilation,
        False,
        [0, 0],
        layer.groups,
        [False, True, False],
    )[1]
    return found


def summed_over_time(grad: Tensor, patients: int) -> Explicit:
    """Gradients (n, C) of what is added at each position of (B, ..., C)."""
    return Explicit(widened(grad).reshape(patients, -1, grad.shape[-1]).sum(1))


def gram(rows: Tensor) -> Tensor:
    """Inner products of each two positions, (n, p, c) to (n, p, p) in float64.

    Positions can cancel: in float32 a long gradient would then seem short, and go unclipped.
    """
    wide = rows.double()
    return wide @ wide.mT


def inner(a: Tensor, b: Tensor) -> Tensor:
    """Squared norms, float32, from products of inputs and of gradients: (n, p, p) twice to (n,).

    The sum that is clipped is made in float32, whose rounding follows what cancels and not what is
    left, so a square counts as no less than ``ROUNDING`` of that.
    """
    squares = torch.einsum("npq,npq->n", a, b)
    scale = torch.linalg.matrix_norm(a) * torch.linalg.matrix_norm(b)
    return torch.maximum(squares, ROUNDING * scale).float()
