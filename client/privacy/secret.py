"""A site's secret: what its noise, its draws and the seals of its ledger follow from.

The coordinator knows a run's seed, so nothing that must stay hidden from it may follow from that.
"""

import hmac
from dataclasses import dataclass, field
from pathlib import Path

from wardlaw.errors import LedgerError
from wardlaw.privacy.keystream import KEY_BYTES, new_key, write_key

SECRET_FILE = "privacy.key"


@dataclass(frozen=True)
class Secret:
    """32 random bytes that never leave the site.

    Attributes
    ----------
    value : bytes of length 32
        Who has it can take the site's noise away, and rewrite its ledger.

    Raises
    ------
    ValueError
        If it has another length.
    """

    value: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.value) != KEY_BYTES:
            raise ValueError(f"a secret has {KEY_BYTES} bytes, not {len(self.value)}")

    def derive(self, *parts: bytes | str | int) -> bytes:
        """Key of 32 bytes for a purpose: HMAC-SHA256 of the parts, each after its length.

        Parameters
        ----------
        *parts : bytes, str or int
            Text counts as UTF-8 and a number as its decimals. Two lists of parts give two keys, however
            their parts are cut.
        """
        encoded = [part if isinstance(part, bytes) else str(part).encode() for part in parts]
        message = b"".join(len(part).to_bytes(8, "big") + part for part in encoded)
        return hmac.digest(self.value, message, "sha256")


def new_secret() -> Secret:
    """A fresh secret from the system's entropy."""
    return Secret(new_key())


def save_secret(path: Path, secret: Secret) -> None:
    """Write a secret for its owner's eyes only, never over another.

    Raises
    ------
    LedgerError
        If the file exists.
    """
    try:
        write_key(path, secret.value)
    except FileExistsError:
        raise LedgerError("the site has a secret already", where=str(path)) from None


def load_secret(path: Path) -> Secret:
    """Read a secret.

    Raises
    ------
    LedgerError
        If there is none, others may read it, or it has not 32 bytes.
    """
    if not path.is_file():
        raise LedgerError("the site's secret is missing", where=str(path), remedy="Restore it from a backup")
    if path.stat().st_mode & 0o077:
        raise LedgerError(
            "others than its owner may read the site's secret",
            where=str(path),
            remedy=f"Set `chmod 600 {path}`",
        )
    value = path.read_bytes()
    if len(value) != KEY_BYTES:
        raise LedgerError(
            f"the site's secret has {len(value)} bytes, not {KEY_BYTES}",
            where=str(path),
            remedy="Restore it from a backup",
        )
    return Secret(value)
