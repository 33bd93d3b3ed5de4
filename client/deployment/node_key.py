"""A site's node key: the private half stays at the site, the public half is registered."""

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from wardlaw.errors import ConfigError


def make_node_key(path: Path) -> Path:
    """Write a P-384 key in OpenSSH's format, the only one that Flower's SuperNode reads.

    Returns
    -------
    Path
        The public key, ``<path>.pub``, for the coordinator.

    Raises
    ------
    ConfigError
        If there is a key already: a lost key means registering the site anew.
    """
    key = ec.generate_private_key(ec.SECP384R1())
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigError(
            "there is a key already", where=str(path), remedy="Choose another name, or remove it"
        ) from None
    with os.fdopen(handle, "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    public = path.with_name(f"{path.name}.pub")
    public.write_bytes(key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) + b"\n")
    return public
