"""A line of a site's ledger: what it says, the hash that chains it, and the site's seal."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from client.privacy.secret import Secret
from wardlaw.errors import LedgerError

REMEDY = "Nothing is trained privately here until the site knows what happened: docs/privacy-ledger.md"


@dataclass(frozen=True)
class Entry:
    """A line.

    Attributes
    ----------
    number : int
        From 0.
    time : datetime
        When it was written, by the site's clock.
    kind : str
    content : mapping
        What the line says: JSON values by name.
    previous : str
        Hash of the line before; empty for the first.
    """

    number: int
    time: datetime
    kind: str
    content: Mapping[str, Any]
    previous: str

    @cached_property
    def fields(self) -> dict[str, Any]:
        """All but hash and seal, as JSON values."""
        time = self.time.isoformat(timespec="microseconds")
        return {
            "number": self.number,
            "time": time,
            "kind": self.kind,
            "content": dict(self.content),
            "previous": self.previous,
        }

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the canonical fields, in hexadecimal."""
        return hashlib.sha256(canonical(self.fields)).hexdigest()

    def line(self, secret: Secret) -> bytes:
        """All fields, hash and seal, as canonical JSON with its line break."""
        seal = secret.derive("ledger/line", self.hash).hex()
        return canonical({**self.fields, "hash": self.hash, "seal": seal})

    def head(self, secret: Secret) -> bytes:
        """What says that this is the last line."""
        seal = secret.derive("ledger/head", self.number, self.hash).hex()
        return canonical({"number": self.number, "hash": self.hash, "seal": seal})


def entries_of(lines: bytes, place: str, secret: Secret) -> list[Entry]:
    """Entries of whole lines, each of which is what this site wrote at this place.

    Raises
    ------
    LedgerError
        If a line is missing, edited, moved, or not sealed by this site.
    """
    entries: list[Entry] = []
    for number, line in enumerate(lines.splitlines(keepends=True)):
        where = f"{place}, line {number + 1}"
        entry = _entry_of(line, where, secret)
        if number != entry.number or entry.previous != (entries[-1].hash if entries else ""):
            raise LedgerError("an entry before it is missing or moved", where=where, remedy=REMEDY)
        entries.append(entry)
    if not entries:
        raise LedgerError("the ledger is empty", where=place, remedy=REMEDY)
    return entries


def canonical(fields: Mapping[str, Any]) -> bytes:
    """The one JSON text of these fields, as a line."""
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("ascii") + b"\n"


def _entry_of(line: bytes, where: str, secret: Secret) -> Entry:
    try:
        fields = json.loads(line)
        entry = Entry(
            number=fields["number"],
            time=datetime.fromisoformat(fields["time"]),
            kind=fields["kind"],
            content=fields["content"],
            previous=fields["previous"],
        )
        told, written = fields["hash"], entry.line(secret)
    except (ValueError, KeyError, TypeError):
        raise LedgerError("the line is not an entry", where=where, remedy=REMEDY) from None
    if told != entry.hash:
        raise LedgerError("the entry was edited", where=where, remedy=REMEDY)
    if line != written:
        raise LedgerError("this site's secret did not seal the entry", where=where, remedy=REMEDY)
    return entry
