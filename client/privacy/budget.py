"""What a site's ledger says, run by run."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from client.privacy.chain import CHAIN_FILE
from client.privacy.entry import Entry
from client.privacy.ledger import Ledger
from client.privacy.spending import RELEASED, Limit, committed, epsilon_of, events_of, reservations
from wardlaw.errors import LedgerError
from wardlaw.privacy.events import Event, merge


@dataclass(frozen=True)
class Spending:
    """What a run, or releases of one name, cost.

    Attributes
    ----------
    name : str
        Fingerprint of the run, or the releases' name.
    rounds : int
        Rounds that were reserved; 0 for releases.
    unfinished : int
        Reservations whose work was not done, or not noted as done. They count all the same.
    events : tuple of Event
    epsilon : float
        Of this and of all spending before it, together.
    """

    name: str
    rounds: int
    unfinished: int
    events: tuple[Event, ...]
    epsilon: float


@dataclass(frozen=True)
class Statement:
    """A ledger added up.

    Attributes
    ----------
    site : str
    limit : Limit
    spendings : tuple of Spending
        In the order in which they began.
    uncovered : mapping
        How often each name was released without an event: epsilon says nothing of these.
    entries : int
    head : str
        Hash of the last entry. Kept elsewhere, it shows later whether the ledger is still the same.
    """

    site: str
    limit: Limit
    spendings: tuple[Spending, ...]
    uncovered: dict[str, int]
    entries: int
    head: str

    @property
    def epsilon(self) -> float:
        """Of everything, at the limit's delta."""
        return self.spendings[-1].epsilon if self.spendings else 0.0

    @property
    def left(self) -> float | None:
        """Limit less epsilon, at least 0; None without a limit. Epsilons do not add up: no price list."""
        return None if self.limit.epsilon is None else max(self.limit.epsilon - self.epsilon, 0.0)


def statement_of(ledger: Ledger) -> Statement:
    """Add up a ledger."""
    entries = ledger.entries()
    spendings: list[Spending] = []
    for name, own in _by_name(entries).items():
        reserved = reservations(own)
        events = merge(events_of(own))
        before = (event for spending in spendings for event in spending.events)
        spendings.append(
            Spending(
                name,
                len({reservation.server_round for reservation in reserved}),
                len({reservation.number for reservation in reserved} - committed(entries)),
                events,
                epsilon_of(merge((*before, *events)), ledger.limit.delta),
            )
        )
    uncovered = Counter(
        str(entry.content["name"])
        for entry in entries
        if entry.kind == RELEASED and entry.content["event"] is None
    )
    return Statement(
        ledger.site, ledger.limit, tuple(spendings), dict(uncovered), len(entries), entries[-1].hash
    )


def require_head(entries: Sequence[Entry], noted: str, ledger: Ledger) -> Entry:
    """The entry whose hash was noted outside of the site's machine.

    Raises
    ------
    LedgerError
        If there is none: an older copy of the ledger was put back, or another begun.
    """
    for entry in entries:
        if entry.hash == noted:
            return entry
    raise LedgerError(
        f"no entry has the noted hash {noted[:16]}",
        where=str(ledger.state / CHAIN_FILE),
        remedy="An older copy was put back, or the ledger was begun anew: what was spent since is not in it",
    )


def _by_name(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Entries that cost something, by run or by name of the release."""
    named: dict[str, list[Entry]] = {}
    for entry in entries:
        if events_of([entry]):
            name = entry.content.get("run") or entry.content["name"]
            named.setdefault(str(name), []).append(entry)
    return named
