"""What follows from a secret key, and can be foreseen by nobody without it.

Each list of names under a key is a stream of its own of AES-256 in counter mode (NIST SP 800-38A, section
6.5): without the key it cannot be told from coins, and with it the same bits come again.
"""

import hmac
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

KEY_BYTES = 32
CHUNK = 1 << 16
"""Words of 64 bits made at a time: what a core's cache holds. Deviates made of them depend on it."""

Names = tuple[str | int, ...]


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


def word_chunks(key: bytes, names: Names, count: int) -> Iterator[NDArray[np.uint64]]:
    """At least ``count`` words of a stream, an even number in each chunk."""
    cipher = Cipher(algorithms.AES256(derive(key, *names)), modes.CTR(bytes(16))).encryptor()
    for start in range(0, count, CHUNK):
        size = min(CHUNK, count - start)
        yield np.frombuffer(cipher.update(bytes(8 * (size + size % 2))), np.uint64)


def mantissas(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    """The upper 53 bits of each word, which float64 holds exactly."""
    return (words >> np.uint64(11)).astype(np.float64)


def new_key() -> bytes:
    """A fresh key from the system's entropy."""
    return secrets.token_bytes(KEY_BYTES)


def write_key(path: Path, key: bytes) -> None:
    """Write a key for its owner's eyes only, never over another, on disk before the return.

    Raises
    ------
    FileExistsError
        If there is one.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Never readable by others, not even before its first byte.
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
