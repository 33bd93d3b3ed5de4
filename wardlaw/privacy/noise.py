"""Secret normal deviates in NumPy: what only the holder of a key can foresee.

Each name under a key is its own stream of AES-256 in counter mode (NIST SP 800-38A, section 6.5):
without the key it cannot be told from coins, and with it the same bits come again.
"""

import hmac
import json
import math

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

KEY_BYTES = 32
_CHUNK = 1 << 16
"""Words of 64 bits made at a time: what a core's cache holds. Values depend on it."""


def derive(key: bytes, *names: str | int) -> bytes:
    """Key of 32 bytes for a purpose: HMAC-SHA256, under ``key``, of the names as JSON.

    Raises
    ------
    ValueError
        If the key does not have 32 bytes.
    """
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key has {KEY_BYTES} bytes, not {len(key)}")
    return hmac.digest(key, json.dumps(names).encode(), "sha256")


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
    cipher = Cipher(algorithms.AES256(derive(key, *names)), modes.CTR(bytes(16))).encryptor()
    for start in range(0, flat.size, _CHUNK):
        part = flat[start : start + _CHUNK]
        words = np.frombuffer(cipher.update(bytes(8 * (part.size + part.size % 2))), np.uint64)
        part += std * _box_muller(words)[: part.size]


def _box_muller(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Standard normal deviates, as many as there are words."""
    # The radius's uniform lies in (0, 1], so that its logarithm is finite.
    uniforms = ((words >> np.uint64(11)).astype(np.float64) + 1.0) * 2.0**-53
    radius, angle = np.split(uniforms, 2)
    radius = np.sqrt(-2 * np.log(radius))
    angle = 2 * math.pi * angle
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
