"""Public node keys, as sites hand them in."""

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from wardlaw.errors import ConfigError


def require_node_key(path: Path) -> None:
    """Check that a file is a public key that Flower registers: elliptic-curve, in OpenSSH's format.

    Raises
    ------
    ConfigError
        If it is not; a private key handed in by mistake is refused here too.
    """
    remedy = "The site makes it with `wardlaw client key` and hands in the .pub file"
    try:
        key = load_ssh_public_key(path.read_bytes())
    except FileNotFoundError:
        raise ConfigError("no such file", where=str(path), remedy=remedy) from None
    except (ValueError, UnsupportedAlgorithm, OSError):
        raise ConfigError("not a public key in OpenSSH's format", where=str(path), remedy=remedy) from None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ConfigError("not an elliptic-curve key", where=str(path), remedy=remedy)
