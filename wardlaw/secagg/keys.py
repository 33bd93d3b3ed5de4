"""Key pairs, the keys that two sites agree on, and the masks that follow from them.

The primitives are those that Flower ships: ECDH on SECP384R1 with HKDF-SHA256, Fernet, and Shamir's shares.
Only the masks are our own: Flower's follow from 32 bits, which can be tried one after the other.
"""

import base64

import numpy as np
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from flwr.common.secure_aggregation.crypto.symmetric_encryption import generate_shared_key
from flwr.supercore.primitives.asymmetric import (
    bytes_to_public_key,
    generate_key_pairs,
    public_key_to_bytes,
)
from numpy.typing import NDArray

from wardlaw.privacy.keystream import derive

SCALAR_BYTES = 48


def new_private_key() -> bytes:
    """Fresh private key, (48,) bytes of its number: what Shamir's shares are made of."""
    private, _ = generate_key_pairs()
    return private.private_numbers().private_value.to_bytes(SCALAR_BYTES, "big")


def public_key(private: bytes) -> bytes:
    """PEM of the public key that belongs to a private one.

    Raises
    ------
    ValueError
        If it is no private key.
    """
    return public_key_to_bytes(_pair(private).public_key())


def shared_key(private: bytes, public: bytes) -> bytes:
    """Fernet key that two sites agree on, from one's private and the other's public key.

    Raises
    ------
    ValueError
        If either is not a key of this curve.
    """
    return generate_shared_key(_pair(private), _public(public))


def is_public_key(public: bytes) -> bool:
    """Whether this is the PEM of a key that others can agree on a key with."""
    try:
        _public(public)
    except ValueError:
        return False
    return True


def pair_mask(private: bytes, public: bytes, session: str, size: int) -> NDArray[np.uint32]:
    """Mask of two sites, (size,): the same from either's private and the other's public key."""
    agreed = base64.urlsafe_b64decode(shared_key(private, public))
    return _stream(derive(agreed, "pair mask", session), size)


def self_mask(seed: bytes, session: str, size: int) -> NDArray[np.uint32]:
    """A site's own mask, (size,), from its seed of 32 bytes."""
    return _stream(derive(seed, "self mask", session), size)


def commitment(seed: bytes, session: str) -> bytes:
    """What is told of a seed beforehand, so that wrong shares of it are found out."""
    return derive(seed, "commitment", session)


def adds(site: str, neighbour: str) -> bool:
    """Whether a site adds the mask that it shares with a neighbour, who then subtracts it."""
    return site < neighbour


def _pair(private: bytes) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(private, "big"), ec.SECP384R1())


def _public(pem: bytes) -> ec.EllipticCurvePublicKey:
    try:
        key = bytes_to_public_key(pem)
    except UnsupportedAlgorithm:
        raise ValueError("not a public key of SECP384R1") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise ValueError("not a public key of SECP384R1")
    return key


def _stream(key: bytes, size: int) -> NDArray[np.uint32]:
    """AES-256 in counter mode (NIST SP 800-38A, section 6.5), as words in little-endian order."""
    cipher = Cipher(algorithms.AES256(key), modes.CTR(bytes(16))).encryptor()
    return np.frombuffer(cipher.update(bytes(4 * size)), "<u4").astype(np.uint32, copy=False)
