"""Who a site is to the other sites, and whom it takes them for: keys that no server can make up."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from client.privacy.secret import Secret, load_secret, new_secret, save_secret
from wardlaw.config import SitePolicy
from wardlaw.errors import LedgerError, PolicyError
from wardlaw.secagg.roster import Roster
from wardlaw.secagg.signing import identity_of

ROUNDING_FILE = "secagg.key"
SIGNING_FILE = "secagg-signing.key"


def rounding_secret(policy: SitePolicy) -> Secret:
    """What the site's rounding and noise follow from, made at the first call."""
    return _secret(policy.state / ROUNDING_FILE)


def signing_key(policy: SitePolicy) -> bytes:
    """The site's signing key, 32 bytes, made at the first call."""
    return _secret(policy.state / SIGNING_FILE).value


def identity(policy: SitePolicy) -> str:
    """Public half of the signing key, in hexadecimal: what other sites write into ``secagg-peers``."""
    return identity_of(signing_key(policy)).hex()


def require_peers(roster: Roster, policy: SitePolicy) -> None:
    """Refuse a session with sites that are not those that the site's own ``secagg-peers`` names, if it does.

    Raises
    ------
    PolicyError
        If one is not named there, or has another identity.
    """
    if policy.secagg_peers:
        for name, member in roster.items():
            if name != policy.site:
                _require_peer(name, member.identity.hex(), policy.secagg_peers)


def _require_peer(name: str, shown: str, peers: Mapping[str, str]) -> None:
    if peers.get(name) != shown:
        raise PolicyError(
            f"the keys of '{name}' are signed by {shown}, not by {peers.get(name, 'anyone named there')}",
            where="secagg-peers",
            remedy="Ask that site, not the server, for what `wardlaw client secagg identity` prints there",
        )


def _secret(path: Path) -> Secret:
    if not path.exists():
        # Another process may have been first.
        with suppress(LedgerError):
            save_secret(path, new_secret())
    return load_secret(path)
