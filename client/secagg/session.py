"""What a site keeps between the five messages of a session, each of which may meet a new process.

<state>/runs/<fingerprint[:16]>/<site>/secagg/
    session-00002.json      keys and shares of round 2, mode 0600; deleted after unmasking
    summed-00002.json       sites of the sum that round 2 was unmasked for; stays
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from client.site_state import locked_run
from wardlaw.errors import CheckpointError, PolicyError
from wardlaw.files import write_atomically, write_text_atomically
from wardlaw.secagg.roster import Member


@dataclass(frozen=True)
class HeldShares:
    """A neighbour's shares that a site holds: never to be given out both."""

    key_share: bytes = field(repr=False)
    seed_share: bytes = field(repr=False)


class SiteSession(BaseModel):
    """A site's keys of one session, and what it has got from the others.

    Attributes
    ----------
    site : str
    session : str
        Name that the server gave it, with run and round.
    member : Member
        What it told of itself.
    cipher_private, mask_private : bytes
        Private keys.
    seed : bytes
        Of the site's own mask.
    threshold : int
        t, once shares were made.
    roster : dict of str to Member
        All sites of the session, once shares were made.
    digest : str
        Of the roster.
    graph : dict of str to tuple of str
        Neighbours of each site, as they follow from the roster.
    held : dict of str to HeldShares
        Of the neighbours that made shares, once the update was masked.
    agreed : tuple of str
        Sites of the sum that the site has agreed to.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")

    site: str
    session: str
    member: Member
    cipher_private: bytes = Field(repr=False)
    mask_private: bytes = Field(repr=False)
    seed: bytes = Field(repr=False)
    threshold: int = 0
    roster: dict[str, Member] = {}
    digest: str = ""
    graph: dict[str, tuple[str, ...]] = {}
    held: dict[str, HeldShares] = {}
    agreed: tuple[str, ...] = ()


@contextmanager
def locked_sessions(folder: Path) -> Iterator[None]:
    """Let one message at a time read and write a run's sessions.

    Two that came at once could each find that nothing was masked, or shared, or helped with before.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked_run(folder):
        yield


def open_session(folder: Path, server_round: int, session: SiteSession) -> None:
    """Keep a fresh session, in the place of all former ones of the run and what a crash left of them."""
    for left in (*folder.glob("session-*.json"), *folder.glob(".session-*.tmp")):
        left.unlink()
    save_session(folder, server_round, session)


def save_session(folder: Path, server_round: int, session: SiteSession) -> None:
    """Keep a session, for its owner's eyes only, in the place of what was kept of it before."""

    def write(temporary: Path) -> None:
        temporary.touch(mode=0o600)
        temporary.write_text(session.model_dump_json(), encoding="utf-8")

    write_atomically(_session_path(folder, server_round), write)


def load_session(folder: Path, server_round: int, session: str) -> SiteSession:
    """The round's session, which must be the one that the message names.

    Raises
    ------
    PolicyError
        If there is none, or another one.
    CheckpointError
        If its file is damaged.
    """
    path = _session_path(folder, server_round)
    if not path.is_file():
        raise PolicyError("no session of secure aggregation is open in this round", where=str(path))
    try:
        kept = SiteSession.model_validate_json(path.read_text("utf-8"))
    except (ValidationError, UnicodeDecodeError):
        # Its text would have the keys.
        raise CheckpointError("not a session of secure aggregation", where=str(path)) from None
    if kept.session != session:
        raise PolicyError(f"the session '{session}' is not this round's", where=str(path))
    return kept


def close_session(folder: Path, server_round: int) -> None:
    """Delete the keys and shares of a round."""
    _session_path(folder, server_round).unlink(missing_ok=True)


def note_sum(folder: Path, server_round: int, survivors: tuple[str, ...]) -> None:
    """Note whose sum a round is unmasked for, before the site helps with it.

    A site's update of a round is the same however often it is asked for, so sums over different sites could
    be subtracted. Hence each site helps in a round with sums over one set of sites only, which is enough:
    no sums and differences of a round's sums come to the update of one site.

    Proof. A sum over U takes t shares for each site of U, and a helper gives one to each of its at most
    k < 2 t neighbours, so the helpers H, themselves in U, are more than |U| / 2. Those of two sets have no
    site in common. Say sum_j c_j 1[U_j] = 1[a] with all c_j != 0. Each site of H_j but a must be cancelled,
    so sum_j |c_j| |H_j - {a}| <= sum_j |c_j| |U_j - H_j| <= sum_j |c_j| (|H_j| - 1). As a is in one H_j at
    most, sum_j |c_j| <= max_j |c_j|: there is one set only, and it is {a}, which has no helpers.

    Raises
    ------
    PolicyError
        If the round was unmasked for other sites.
    CheckpointError
        If the note is damaged.
    """
    path = folder / f"summed-{server_round:05d}.json"
    if not path.exists():
        write_text_atomically(path, json.dumps(survivors))
        return
    try:
        before = json.loads(path.read_text("utf-8"))
    except ValueError:
        raise CheckpointError("not a note of a sum's sites", where=str(path)) from None
    if before != list(survivors):
        raise PolicyError(
            f"round {server_round} was summed over other sites before, and the difference could be one "
            "site's update",
            where=str(path),
            remedy="Bring the same sites back, or start a new run",
        )


def _session_path(folder: Path, server_round: int) -> Path:
    return folder / f"session-{server_round:05d}.json"
