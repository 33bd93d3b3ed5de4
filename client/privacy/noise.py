"""Secret randomness: uniform and normal deviates that only the holder of a key can foresee.

Who knows the noise can take it away, so no draw of a private step follows from the run's public
seed. Each name under a key has a stream of its own (``wardlaw.privacy.keystream``).
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wardlaw.privacy.keystream import derive, mantissas, word_chunks


def gaussian(key: bytes, name: str, shape: tuple[int, ...], std: float) -> Tensor:
    """Normal deviates of mean 0, float32 on the CPU, the same for the same key, name and shape.

    Parameters
    ----------
    key : bytes of length 32
    name : str
        Two names are independent streams. A name must not serve two releases: their difference
        would be free of noise.
    shape : tuple of int
    std : float

    Raises
    ------
    ValueError
        If the key does not have 32 bytes.
    """
    noise = torch.zeros(shape)
    add_gaussian(noise, key, name, std)
    return noise


def add_gaussian(values: Tensor, key: bytes, name: str, std: float) -> None:
    """Add normal deviates of mean 0 to ``values`` in place; parameters as for ``gaussian``.

    Box and Muller (1958) in float64: a pair of deviates from a pair of 53-bit uniforms, up to 8.57 std.
    The sum is made in float64 and rounded to float32 once.

    Notes
    -----
    The proof of privacy is about real numbers. In floating point some sums cannot be reached from
    some values, and the lowest bits can give a value away (Mironov, CCS 2012; for Gaussians Holohan &
    Braghin, arXiv 2107.10138, who rebuild the uniforms from the deviates' 53 bits). Rounding to 24
    bits hides those of the noise, except where value and noise cancel to less than about
    2^-28 of the noise, which is as rare as that number. What is left is not in epsilon.
    """
    flat = values.contiguous().view(-1)
    start = 0
    for words in word_chunks(key, (name,), len(flat)):
        noise = _box_muller(words, values.device).mul_(std)
        part = flat[start : start + len(noise)]
        part.copy_(noise[: len(part)] + part)
        start += len(noise)
    if not values.is_contiguous():
        values.copy_(flat.view_as(values))


def uniforms(key: bytes, *names: str | int, count: int) -> NDArray[np.float64]:
    """Multiples of 2^-53 in [0, 1), (count,): the stream ``names`` under the key.

    Raises
    ------
    ValueError
        If the key does not have 32 bytes.
    """
    parts = [mantissas(words) for words in word_chunks(key, names, count)]
    return np.concatenate(parts)[:count] * 2.0**-53 if parts else np.zeros(0)


def generator_of(key: bytes, *names: str | int) -> np.random.Generator:
    """NumPy generator of the stream ``names`` under the key, for draws that are not released.

    PCG64 is no cipher: who saw many of its numbers could tell the next. It starts from 256 bits that
    only the key gives.
    """
    seed = np.random.SeedSequence(int.from_bytes(derive(key, *names), "big"), pool_size=8)
    return np.random.Generator(np.random.PCG64(seed))


def _box_muller(words: NDArray[np.uint64], device: torch.device) -> Tensor:
    """Standard normal deviates, float64, as many as there are words."""
    uniform = torch.from_numpy(mantissas(words)).to(device)
    # The radius's uniform lies in (0, 1], so that its logarithm is finite.
    radius, angle = uniform.add_(1.0).mul_(2.0**-53).chunk(2)
    radius.log_().mul_(-2.0).sqrt_()
    angle.mul_(2 * math.pi)
    return torch.cat([angle.cos().mul_(radius), angle.sin_().mul_(radius)])
