"""A file of lines that can grow and in no other way change unseen.

    ledger.jsonl    one JSON object a line, each with the hash of the line before
    ledger.head     number and hash of the last line

A line's ``hash`` is the SHA-256 of its other fields as canonical JSON, which anybody can check; its
``seal``, and the head's, is an HMAC under the site's secret, so that nobody else can write a chain
anew. The line is on disk before the head says so, and both before ``append`` returns. So after a
crash there may be one line more than the head says, which counts; one line fewer was cut off.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any

from client.privacy.entry import REMEDY, Entry, entries_of
from client.privacy.secret import Secret
from wardlaw.errors import LedgerError
from wardlaw.files import write_bytes_atomically

CHAIN_FILE = "ledger.jsonl"
HEAD_FILE = "ledger.head"

CLOCK = "clock"
"""Kind of a line that may be older than the one before: the site says that its clock is right."""

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The time, with its zone."""
    return datetime.now(UTC)


class Chain:
    """A chain in the hands of one process, all of whose lines were found whole.

    Attributes
    ----------
    entries : list of Entry
        At least one.
    """

    def __init__(self, file: FileIO, folder: Path, secret: Secret, clock: Clock) -> None:
        self._file, self._folder, self._secret, self._clock = file, folder, secret, clock
        content = file.readall()
        whole = content[: content.rfind(b"\n") + 1]
        self.entries = entries_of(whole, str(folder / CHAIN_FILE), secret)
        head = _head_number(self.entries, folder, secret)
        if len(whole) < len(content):
            # Part of a line: its append never returned, so nothing was released under it.
            file.truncate(len(whole))
        if head < self.entries[-1].number:
            _save_head(folder, self.entries[-1], secret)

    def append(self, kind: str, content: Mapping[str, Any]) -> Entry:
        """Add a line, on disk before the return.

        Raises
        ------
        LedgerError
            If the clock is behind the last line, or the disk takes no more.
        """
        last, now = self.entries[-1], self._clock()
        if now < last.time and kind != CLOCK:
            raise LedgerError(
                f"the clock says {now:%Y-%m-%d %H:%M:%S} and the last entry is of "
                f"{last.time:%Y-%m-%d %H:%M:%S} UTC",
                where=str(self._folder / CHAIN_FILE),
                remedy="Set the clock; if it is right, say so by `wardlaw client budget accept-clock`",
            )
        entry = Entry(last.number + 1, now, kind, content, last.hash)
        try:
            self._file.seek(0, os.SEEK_END)
            _write(self._file, entry.line(self._secret))
            _save_head(self._folder, entry, self._secret)
        except OSError as error:
            raise LedgerError(
                f"the ledger cannot be written: {error.strerror}", where=str(self._folder / CHAIN_FILE)
            ) from error
        self.entries.append(entry)
        return entry


def create_chain(folder: Path, secret: Secret, kind: str, content: Mapping[str, Any], clock: Clock) -> None:
    """Write a chain of one line.

    Raises
    ------
    LedgerError
        If there is one already.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / CHAIN_FILE
    entry = Entry(0, clock(), kind, content, "")
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise LedgerError("there is a ledger already", where=str(path)) from None
    with FileIO(handle, "w") as file:
        _write(file, entry.line(secret))
    _save_head(folder, entry, secret)


@contextmanager
def locked_chain(folder: Path, secret: Secret, clock: Clock = utc_now) -> Iterator[Chain]:
    """Open a chain for this process alone; others wait.

    An append that a crash interrupted is brought to its end: a whole line counts, part of one goes.

    Raises
    ------
    LedgerError
        If a line is missing, edited, moved, cut off or another site's.
    """
    path = folder / CHAIN_FILE
    try:
        file = FileIO(path, "r+")
    except FileNotFoundError:
        raise LedgerError("the ledger is missing", where=str(path), remedy=REMEDY) from None
    except OSError as error:
        raise LedgerError(f"the ledger cannot be opened: {error.strerror}", where=str(path)) from None
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield Chain(file, folder, secret, clock)


def _head_number(entries: list[Entry], folder: Path, secret: Secret) -> int:
    """Number of the last line, or of the one before after a crash."""
    path = folder / HEAD_FILE
    try:
        content = path.read_bytes()
        number, last = json.loads(content)["number"], entries[-1].number
    except FileNotFoundError:
        raise LedgerError("the ledger's head is missing", where=str(path), remedy=REMEDY) from None
    except (ValueError, KeyError, TypeError):
        raise LedgerError("the ledger's head was edited", where=str(path), remedy=REMEDY) from None
    if not isinstance(number, int) or number < 0:
        raise LedgerError("the ledger's head was edited", where=str(path), remedy=REMEDY)
    if number > last:
        raise LedgerError(
            f"the last {number - last} entries were cut off",
            where=str(folder / CHAIN_FILE),
            remedy=REMEDY,
        )
    if content != entries[number].head(secret):
        raise LedgerError("the ledger's head does not fit the ledger", where=str(path), remedy=REMEDY)
    if last > number + 1:
        raise LedgerError("the ledger's head is an older one", where=str(path), remedy=REMEDY)
    return int(number)


def _save_head(folder: Path, entry: Entry, secret: Secret) -> None:
    write_bytes_atomically(folder / HEAD_FILE, entry.head(secret))


def _write(file: FileIO, content: bytes) -> None:
    """Write all of it to the disk, however little the system takes at a time."""
    while content:
        content = content[file.write(content) :]
    os.fsync(file.fileno())
