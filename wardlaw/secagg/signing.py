"""Statements that a site signs, and that the other sites can check without the server's word.

Ed25519 (RFC 8032). What is signed is the JSON of a list that begins with what it is for, so that no
signature can serve as another.
"""

import json

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


def identity_of(private: bytes) -> bytes:
    """Public half, 32 bytes, of a signing key of 32 bytes."""
    return Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def sign(private: bytes, *statement: str) -> bytes:
    """Signature, 64 bytes, of a statement."""
    return Ed25519PrivateKey.from_private_bytes(private).sign(_encoded(statement))


def is_signed(identity: bytes, signature: bytes, *statement: str) -> bool:
    """Whether whoever has this identity has signed the statement."""
    try:
        Ed25519PublicKey.from_public_bytes(identity).verify(signature, _encoded(statement))
    except (InvalidSignature, ValueError):
        return False
    return True


def _encoded(statement: tuple[str, ...]) -> bytes:
    return json.dumps(statement).encode()
