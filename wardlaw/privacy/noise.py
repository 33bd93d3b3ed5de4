"""Secret normal deviates in NumPy: what only the holder of a key can foresee."""

import math

import numpy as np
from numpy.typing import NDArray

from wardlaw.privacy.keystream import mantissas, word_chunks


def add_normal(values: NDArray[np.float64], key: bytes, *names: str | int, std: float) -> None:
    """Add normal deviates of mean 0 in place, the same for the same key, names and size.

    Box and Muller (1958): a pair of deviates from a pair of 53-bit uniforms, up to 8.57 std.

    Parameters
    ----------
    values : array, float64
        C-contiguous, of any shape.
    key : bytes of length 32
    *names : str or int
        The stream. One must not serve two releases: their difference would be free of noise.
    std : float
    """
    flat = np.reshape(values, -1, copy=False)
    start = 0
    for words in word_chunks(key, names, flat.size):
        part = flat[start : start + words.size]
        part += std * _box_muller(words)[: part.size]
        start += words.size


def _box_muller(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Standard normal deviates, as many as there are words."""
    # The radius's uniform lies in (0, 1], so that its logarithm is finite.
    uniforms = (mantissas(words) + 1.0) * 2.0**-53
    radius, angle = np.split(uniforms, 2)
    radius = np.sqrt(-2 * np.log(radius))
    angle = 2 * math.pi * angle
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
