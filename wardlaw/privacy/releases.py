"""A server's secret, and the list of what it released under it.

    privacy.key      32 random bytes, for the owner's eyes only
    releases.jsonl   one line a release

The folder is the server's own: who has the key can take the noise away, so it lies outside of any
run's record.
"""

import json
from pathlib import Path
from typing import Any

from wardlaw.errors import CheckpointError
from wardlaw.files import write_text_atomically
from wardlaw.privacy.keystream import KEY_BYTES, derive, new_key, write_key


class Releases:
    """Releases of one run.

    The same release, made again after a crash, gets the same noise and counts once. Any other gets
    fresh noise and counts: else two models could be subtracted and their noise would cancel.

    Parameters
    ----------
    folder : Path
        Made if absent, with a fresh key.
    fingerprint : str
        Of the run's configuration.

    Raises
    ------
    CheckpointError
        If the key or the list is damaged, or the list is there without the key.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.fingerprint = fingerprint
        self._path = folder / "releases.jsonl"
        self._lines = self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else []
        self._key = _load_or_create_key(folder / "privacy.key", may_create=not self._lines)
        try:
            lines = [json.loads(line) for line in self._lines]
            self._known = {line["release"] for line in lines if line["fingerprint"] == fingerprint}
        except (ValueError, TypeError, KeyError) as error:
            raise CheckpointError("the list of releases is damaged", where=str(self._path)) from error

    def __len__(self) -> int:
        """How many different releases there were."""
        return len(self._known)

    def key(self, server_round: int, digest: bytes) -> bytes:
        """Key of the noise of what has this digest."""
        return derive(self._key, "client-level", self.fingerprint, server_round, digest.hex())

    def note(self, server_round: int, key: bytes) -> None:
        """Put a release on the list, on disk before the return: call it before anyone sees the model."""
        # The key itself would give the noise away; what is derived from it does not.
        release = derive(key, "release").hex()
        if release in self._known:
            return
        line: dict[str, Any] = {"fingerprint": self.fingerprint, "round": server_round, "release": release}
        self._lines.append(json.dumps(line))
        write_text_atomically(self._path, "\n".join(self._lines) + "\n")
        self._known.add(release)


def _load_or_create_key(path: Path, *, may_create: bool) -> bytes:
    if not path.exists():
        if not may_create:
            raise CheckpointError("the key of the releases is missing", where=str(path))
        write_key(path, new_key())
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise CheckpointError(
            f"the key has {len(key)} bytes, not {KEY_BYTES}",
            where=str(path),
            remedy="Remove it if nothing was released under it",
        )
    return key
