"""What the lines of a site's ledger mean, and what they add up to.

opened      site, unit, relation, limit
reserved    run, round, digest of the request, event, limit in force
committed   number of a reservation whose work was done
released    name, digest of the request, event or null where none covers it, limit in force
clock       the site says that its clock is right though it went back
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from client.privacy.entry import Entry
from wardlaw.errors import PolicyError
from wardlaw.privacy.epsilon import LEAST_DELTA
from wardlaw.privacy.events import Event, from_json

OPENED = "opened"
RESERVED = "reserved"
COMMITTED = "committed"
RELEASED = "released"


@dataclass(frozen=True)
class Limit:
    """What a site allows in all; only its own ``site.toml`` can change it.

    Attributes
    ----------
    epsilon : float or None
        None keeps the ledger and refuses nothing.
    delta : float

    Raises
    ------
    PolicyError
        If epsilon is not positive and finite, or delta not below 1 or too small for the accountant.
    """

    epsilon: float | None
    delta: float

    def __post_init__(self) -> None:
        if self.epsilon is not None and not 0 < self.epsilon < float("inf"):
            raise PolicyError(f"a limit must be above 0 and finite, not {self.epsilon}", where="epsilon")
        if not LEAST_DELTA <= self.delta < 1:
            raise PolicyError(
                f"delta must lie between {LEAST_DELTA:g} and 1, not {self.delta:g}", where="delta"
            )


@dataclass(frozen=True)
class Reservation:
    """A round that is paid for.

    Attributes
    ----------
    number : int
        Of its line.
    run : str
        Fingerprint of the run.
    server_round : int
    digest : str
        Of all that the reply follows from. The same request gives the same bits, and costs once.
    event : Event
    """

    number: int
    run: str
    server_round: int
    digest: str
    event: Event


def reservations(entries: Iterable[Entry]) -> list[Reservation]:
    """Reservations among entries, committed or not."""
    return [
        Reservation(
            entry.number,
            entry.content["run"],
            entry.content["round"],
            entry.content["digest"],
            from_json(entry.content["event"]),
        )
        for entry in entries
        if entry.kind == RESERVED
    ]


def committed(entries: Iterable[Entry]) -> set[int]:
    """Numbers of the reservations whose work was done."""
    return {entry.content["reservation"] for entry in entries if entry.kind == COMMITTED}


def events_of(entries: Iterable[Entry]) -> list[Event]:
    """Events of all reservations and covered releases, in order."""
    events = (entry.content.get("event") for entry in entries if entry.kind in (RESERVED, RELEASED))
    return [from_json(event) for event in events if event is not None]


@lru_cache(maxsize=64)
def epsilon_of(events: tuple[Event, ...], delta: float) -> float:
    """Epsilon of events, computed once for the same events."""
    # dp-accounting takes a second to import, which commands and rounds without privacy need not wait for.
    from wardlaw.privacy.accountant import epsilon

    return epsilon(events, delta)


def last_limit(entries: Sequence[Entry]) -> Limit:
    """Limit that was in force when the last line that notes one was written."""
    return Limit(**next(entry.content["limit"] for entry in reversed(entries) if "limit" in entry.content))
