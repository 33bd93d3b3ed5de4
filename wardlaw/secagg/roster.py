"""Who is in a session: what every site tells all others of itself, and the three things that it signs.

All sites see the whole roster. The graph follows from its digest, and the sites' letters to one another name
it, so that no two of them can be told of different sessions.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wardlaw.secagg.keys import is_public_key
from wardlaw.secagg.signing import identity_of, is_signed, sign


@dataclass(frozen=True)
class Member:
    """A site's public keys of a session.

    Attributes
    ----------
    cipher : bytes
        PEM, for the shares that others send it.
    mask : bytes
        PEM, for the masks that it shares with others.
    identity : bytes of length 32
        Signing key, the same in all sessions.
    signature : bytes of length 64
        By it, of the two keys, the session and the site's name.
    """

    cipher: bytes
    mask: bytes
    identity: bytes
    signature: bytes

    def parts(self) -> list[bytes]:
        """The four as they travel; ``Member(*parts)`` is the way back."""
        return [self.cipher, self.mask, self.identity, self.signature]


Roster = Mapping[str, Member]


def read_member(parts: object) -> Member:
    """A member that has travelled.

    Raises
    ------
    ValueError
        If it is not four parts.
    """
    if not (isinstance(parts, list) and len(parts) == 4 and all(isinstance(part, bytes) for part in parts)):
        raise ValueError("not two public keys, an identity and a signature")
    return Member(*parts)


def session_name(fingerprint: str, server_round: int, name: str) -> str:
    """A session's name with the run and round that it is for, from which all its keys follow."""
    return f"{fingerprint}/{server_round}/{name}"


def introduce(signing_key: bytes, session: str, site: str, cipher: bytes, mask: bytes) -> Member:
    """A site as it tells of itself."""
    signature = sign(signing_key, "keys", session, site, cipher.hex(), mask.hex())
    return Member(cipher, mask, identity_of(signing_key), signature)


def is_genuine(member: Member, session: str, site: str) -> bool:
    """Whether a site's keys are keys, and signed by the identity that it claims."""
    statement = ("keys", session, site, member.cipher.hex(), member.mask.hex())
    return (
        is_public_key(member.cipher)
        and is_public_key(member.mask)
        and is_signed(member.identity, member.signature, *statement)
    )


def roster_digest(session: str, roster: Roster) -> str:
    """SHA-256 in hexadecimal of a session's name and of all that its sites told."""
    told = [
        [site, *(part.hex() for part in (member.cipher, member.mask, member.identity))]
        for site, member in sorted(roster.items())
    ]
    return hashlib.sha256(json.dumps([session, told]).encode()).hexdigest()


def receipt(digest: str, site: str) -> tuple[str, ...]:
    """What a site signs when its update has gone out: without it nobody counts it among the survivors."""
    return ("masked", digest, site)


def agreement(digest: str, survivors: Iterable[str]) -> tuple[str, ...]:
    """What a site signs of the sites whose updates are summed: once in a session."""
    return ("sum", digest, *sorted(survivors))
