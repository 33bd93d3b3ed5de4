"""What a site's patients have paid, over all runs: reserved before training, never given back.

Reservations count from the moment they are written, whether committed or not. Epsilon is the
accountant's of all events together, so no round and no run starts at zero.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from client.privacy.chain import (
    CHAIN_FILE,
    CLOCK,
    HEAD_FILE,
    Chain,
    Clock,
    create_chain,
    locked_chain,
    utc_now,
)
from client.privacy.entry import Entry
from client.privacy.secret import SECRET_FILE, Secret, load_secret, new_secret, save_secret
from client.privacy.spending import (
    COMMITTED,
    OPENED,
    RELEASED,
    RESERVED,
    Limit,
    Reservation,
    committed,
    epsilon_of,
    events_of,
    last_limit,
    reservations,
)
from wardlaw.errors import BudgetError, LedgerError
from wardlaw.privacy.epsilon import epsilon_text
from wardlaw.privacy.events import RELATION, UNIT, Event, merge


def has_ledger(state: Path) -> bool:
    """Whether any part of a ledger is there."""
    return any((state / name).exists() for name in (SECRET_FILE, CHAIN_FILE, HEAD_FILE))


@dataclass(frozen=True)
class Ledger:
    """A site's ledger; each call locks it, checks it whole, and leaves it whole.

    Attributes
    ----------
    state : Path
        Folder of the ledger and of the secret.
    site : str
    secret : Secret
    limit : Limit
        In force now.
    """

    state: Path
    site: str
    secret: Secret
    limit: Limit
    clock: Clock = field(default=utc_now, repr=False)

    @classmethod
    def open(cls, state: Path, site: str, limit: Limit, clock: Clock = utc_now) -> Self:
        """Begin a site's ledger, with a fresh secret: once in the site's life.

        Raises
        ------
        LedgerError
            If any part of a ledger is there: what was spent under it cannot be forgotten.
        """
        for name in (SECRET_FILE, CHAIN_FILE, HEAD_FILE):
            if (state / name).exists():
                raise LedgerError(
                    "the site has had a ledger already",
                    where=str(state / name),
                    remedy="Look at it by `wardlaw client budget verify`",
                )
        secret = new_secret()
        content = {"site": site, "unit": UNIT, "relation": RELATION, "limit": asdict(limit)}
        create_chain(state, secret, OPENED, content, clock)
        save_secret(state / SECRET_FILE, secret)
        return cls(state, site, secret, limit, clock)

    @classmethod
    def load(cls, state: Path, site: str, limit: Limit | None = None, clock: Clock = utc_now) -> Self:
        """A site's ledger, all of it verified.

        Parameters
        ----------
        state : Path
        site : str
        limit : Limit, optional
            In force now; by default the one that the ledger noted last.

        Raises
        ------
        LedgerError
            If it is missing, edited, cut off, or of another site.
        """
        if not has_ledger(state):
            raise LedgerError(
                "the site has no ledger",
                where=str(state),
                remedy="Open it once by `wardlaw client budget open --site site.toml`",
            )
        secret = load_secret(state / SECRET_FILE)
        with locked_chain(state, secret, clock) as chain:
            entries = chain.entries
        owner = str(entries[0].content["site"])
        if owner != site:
            raise LedgerError(
                f"it is the ledger of '{owner}', not of '{site}'", where=str(state / CHAIN_FILE)
            )
        return cls(state, site, secret, limit or last_limit(entries), clock)

    def reserve(self, run: str, server_round: int, digest: str, event: Event) -> Reservation:
        """Pay for a round before any patient is read, on disk before the return.

        A request that was paid for is found again and costs nothing more.

        Raises
        ------
        BudgetError
            If epsilon of all that was reserved and of this would pass the limit.
        LedgerError
            If the ledger is damaged, or the clock is behind it.
        """
        content = {"run": run, "round": server_round, "digest": digest, "event": event.to_json()}
        with self._locked() as chain:
            known = [entry for entry in chain.entries if entry.kind == RESERVED and _same(entry, content)]
            self._require_affordable(chain.entries, () if known else (event,))
            if not known:
                known = [chain.append(RESERVED, {**content, "limit": asdict(self.limit)})]
        return reservations(known)[0]

    def commit(self, reservation: Reservation) -> None:
        """Note that a reservation's work was done; once, however often it is said.

        Raises
        ------
        LedgerError
            If it is not a reservation of this ledger.
        """
        with self._locked() as chain:
            if reservation not in reservations(chain.entries):
                raise LedgerError(
                    "there is no such reservation",
                    where=f"{self.state / CHAIN_FILE}, line {reservation.number + 1}",
                )
            if reservation.number not in committed(chain.entries):
                chain.append(COMMITTED, {"reservation": reservation.number})

    def release(self, name: str, event: Event | None, digest: str = "") -> None:
        """Pay for a release other than training, before it leaves.

        Parameters
        ----------
        name : str
            What is released: a vocabulary, a count, a metric.
        event : Event or None
            None declares that no epsilon covers it.
        digest : str
            Of a request whose replay gives the same bits, and so costs once; empty if it does not.

        Raises
        ------
        BudgetError, LedgerError
            As ``reserve`` does.
        """
        content = {"name": name, "digest": digest, "event": event.to_json() if event else None}
        with self._locked() as chain:
            known = digest and any(
                entry.kind == RELEASED and _same(entry, content) for entry in chain.entries
            )
            self._require_affordable(chain.entries, (event,) if event and not known else ())
            if not known:
                chain.append(RELEASED, {**content, "limit": asdict(self.limit)})

    def accept_clock(self) -> None:
        """Go on though the clock is behind the last entry: times order nothing, and renew nothing."""
        with self._locked() as chain:
            chain.append(CLOCK, {})

    def entries(self) -> tuple[Entry, ...]:
        """All lines, verified."""
        with self._locked() as chain:
            return tuple(chain.entries)

    def events(self) -> tuple[Event, ...]:
        """What the site's patients have paid, in the fewest events."""
        return merge(events_of(self.entries()))

    def spent(self, delta: float | None = None) -> float:
        """Epsilon of all events, at the limit's delta unless another is given."""
        return epsilon_of(self.events(), self.limit.delta if delta is None else delta)

    def _locked(self) -> AbstractContextManager[Chain]:
        return locked_chain(self.state, self.secret, self.clock)

    def _require_affordable(self, entries: Sequence[Entry], more: tuple[Event, ...]) -> None:
        if self.limit.epsilon is None:
            return
        cost = epsilon_of(merge((*events_of(entries), *more)), self.limit.delta)
        if cost > self.limit.epsilon:
            raise BudgetError(
                f"it would bring the site to epsilon {epsilon_text(cost)}, above its limit of "
                f"{self.limit.epsilon:g}",
                where=str(self.state / CHAIN_FILE),
                remedy="See `wardlaw client budget show`; only the site's own site.toml can raise the limit",
            )


def _same(entry: Entry, content: Mapping[str, Any]) -> bool:
    """Whether an entry says this, whatever limit it was written under."""
    return all(entry.content[name] == value for name, value in content.items())
