"""What a site keeps between the four messages of a session, each of which may meet a new process.

<state>/runs/<fingerprint[:16]>/<site>/secagg/
    session-00002.json      keys and shares of round 2, mode 0600; deleted after unmasking
    summed-00002.json       sites of the sum that round 2 was unmasked for; stays
"""

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from wardlaw.errors import CheckpointError, PolicyError
from wardlaw.files import write_atomically, write_text_atomically
from wardlaw.secagg.keys import PublicKeys


@dataclass(frozen=True)
class HeldShares:
    """A neighbour's shares that a site holds: never to be given out both."""

    key_share: bytes
    seed_share: bytes


class SiteSession(BaseModel):
    """A site's keys of one session, and what it has got from its neighbours.

    Attributes
    ----------
    site : str
    session : str
        Name that the server gave it.
    cipher_private, mask_private : bytes
        Private keys.
    seed : bytes
        Of the site's own mask.
    threshold : int
        t, once shares were made.
    neighbours : dict of str to PublicKeys
        Once shares were made.
    held : dict of str to HeldShares
        Of the neighbours that made shares, once the update was masked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")

    site: str
    session: str
    cipher_private: bytes
    mask_private: bytes
    seed: bytes
    threshold: int = 0
    neighbours: dict[str, PublicKeys] = {}
    held: dict[str, HeldShares] = {}


def save_session(folder: Path, server_round: int, session: SiteSession) -> None:
    """Keep a session, for its owner's eyes only, in the place of the round's former one."""

    def write(temporary: Path) -> None:
        temporary.touch(mode=0o600)
        temporary.write_text(session.model_dump_json(), encoding="utf-8")

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
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
        raise CheckpointError("not a session of secure aggregation", where=str(path)) from None
    if kept.session != session:
        raise PolicyError(f"the session '{session}' is not this round's", where=str(path))
    return kept


def close_session(folder: Path, server_round: int) -> None:
    """Delete the keys and shares of a round."""
    _session_path(folder, server_round).unlink(missing_ok=True)


def note_sum(folder: Path, server_round: int, survivors: list[str]) -> None:
    """Note whose sum a round is unmasked for, before the site helps with it.

    A site's update of a round is the same however often it is asked for. The difference of two sums that
    differ by one site would be that site's update, so a round is only ever unmasked for one set of sites.

    Raises
    ------
    PolicyError
        If the round was unmasked for other sites.
    """
    path = folder / f"summed-{server_round:05d}.json"
    if not path.exists():
        write_text_atomically(path, json.dumps(survivors))
    elif json.loads(path.read_text("utf-8")) != survivors:
        raise PolicyError(
            f"round {server_round} was summed over other sites before, and the difference could be one "
            "site's update",
            where=str(path),
            remedy="Bring the same sites back, or start a new run",
        )


def _session_path(folder: Path, server_round: int) -> Path:
    return folder / f"session-{server_round:05d}.json"
