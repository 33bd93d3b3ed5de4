"""Convolution kernels of a diagonal state-space model (S4D: Gu et al., arXiv 2206.11893).

A channel's n modes follow x' = a x + u and are read as y = 2 Re(c x), one of each conjugate pair.
Held for a step dt (zero-order hold, section 3.1) they give the kernel

    K[l] = 2 Re sum_n c_n b_n p_n^l,    p = exp(dt a),    b = (p - 1) / a

which is a product with the Vandermonde matrix of the poles p (section 3.2). Complex numbers are
written as pairs of real ones throughout: compilers know no others.
"""

import math

import torch
from torch import Tensor


def kernels(
    log_dt: Tensor, log_a_real: Tensor, a_imag: Tensor, c_real: Tensor, c_imag: Tensor, length: int
) -> Tensor:
    """Kernels of all channels, without a complex exponential for every mode and lag.

    With lags l = q s + r the powers are p^l = p^(q s) p^r: two tables of about sqrt(length) columns
    and a real matrix product between them, in place of ``length`` columns.

    Parameters
    ----------
    log_dt : Tensor, (channels,)
        Logarithm of each channel's step.
    log_a_real, a_imag : Tensor, (channels, modes)
        log(-Re a), so that every mode decays, and Im a.
    c_real, c_imag : Tensor, (directions, channels, modes)
    length : int
        Lags of a kernel.

    Returns
    -------
    Tensor, (directions, channels, length)
    """
    dt, sink = log_dt.exp()[:, None], log_a_real.exp()
    decay, angle = dt * sink, dt * a_imag
    # p - 1 without cancellation: a step may be a thousandth.
    moved_real = torch.expm1(-decay) * angle.cos() - 2 * (angle / 2).sin().square()
    moved_imag = torch.exp(-decay) * angle.sin()
    square = sink.square() + a_imag.square()
    b_real = (a_imag * moved_imag - sink * moved_real) / square
    b_imag = -(a_imag * moved_real + sink * moved_imag) / square
    real, imag = _product(c_real, c_imag, b_real, b_imag)

    columns, rows = _factors(length)
    fine = _powers(decay, angle, torch.arange(columns, device=dt.device))
    steps = _powers(decay, angle, columns * torch.arange(rows, device=dt.device))
    coarse_real, coarse_imag = _product(real[..., None], imag[..., None], *steps)
    products = torch.cat((coarse_real, -coarse_imag), -2).mT @ torch.cat(fine, -2)
    return 2 * products.flatten(-2)[..., :length]


def kernel_flops(channels: int, modes: int, directions: int, length: int) -> float:
    """FLOPs of the matrix product in ``kernels``, the bulk of its work."""
    columns, rows = _factors(length)
    return 2.0 * directions * channels * rows * 2 * modes * columns


def _factors(length: int) -> tuple[int, int]:
    """Columns and rows of a table with at least ``length`` places, nearly square."""
    columns = math.isqrt(length - 1) + 1
    return columns, -(-length // columns)


def _powers(decay: Tensor, angle: Tensor, exponents: Tensor) -> tuple[Tensor, Tensor]:
    """Real and imaginary parts of p^exponent: (channels, modes, exponents) each."""
    size, turn = torch.exp(-decay[..., None] * exponents), angle[..., None] * exponents
    return size * turn.cos(), size * turn.sin()


def _product(a_real: Tensor, a_imag: Tensor, b_real: Tensor, b_imag: Tensor) -> tuple[Tensor, Tensor]:
    """Real and imaginary parts of a complex product."""
    return a_real * b_real - a_imag * b_imag, a_real * b_imag + a_imag * b_real
