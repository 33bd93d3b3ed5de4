"""The five stages at a site, as pure functions of what it keeps and what it is sent.

Bonawitz et al., CCS 2017, figure 4, with its consistency check, over the graph of Bell et al., CCS 2020,
algorithm 3.
"""

import json
from collections.abc import Mapping

import numpy as np
from cryptography.fernet import InvalidToken
from flwr.common.secure_aggregation.crypto.shamir import create_shares
from flwr.common.secure_aggregation.crypto.symmetric_encryption import decrypt, encrypt
from numpy.typing import NDArray

from client.secagg.session import HeldShares, SiteSession
from wardlaw.errors import PolicyError
from wardlaw.privacy.keystream import new_key
from wardlaw.secagg.graph import connected, draw_neighbours, majority, uncovered
from wardlaw.secagg.keys import adds, new_private_key, pair_mask, public_key, self_mask, shared_key
from wardlaw.secagg.roster import (
    Member,
    Roster,
    agreement,
    introduce,
    is_genuine,
    receipt,
    roster_digest,
)
from wardlaw.secagg.signing import is_signed, sign


def set_up(site: str, session: str, signing_key: bytes) -> tuple[SiteSession, Member]:
    """Stage 1: fresh keys and a fresh seed, from the system's entropy."""
    cipher, mask = new_private_key(), new_private_key()
    member = introduce(signing_key, session, site, public_key(cipher), public_key(mask))
    kept = SiteSession(
        site=site,
        session=session,
        member=member,
        cipher_private=cipher,
        mask_private=mask,
        seed=new_key(),
    )
    return kept, member


def share(
    kept: SiteSession, roster: Roster, degree: int, threshold: int
) -> tuple[SiteSession, dict[str, bytes]]:
    """Stage 2: shares of the mask's private key and of the seed, encrypted to each neighbour.

    Parameters
    ----------
    kept : SiteSession
    roster : mapping of str to Member
        All sites of the session. Each draws the graph from it by itself.
    degree, threshold : int
        k and t.

    Returns
    -------
    kept : SiteSession
    ciphertexts : dict of str to bytes
        By neighbour.

    Raises
    ------
    PolicyError
        If shares were made before, the site itself is not in the roster as it is, a member is not what it
        signed, two have a key in common, or the neighbours do not fit the threshold.
    """
    if kept.roster:
        raise PolicyError("shares of this session were made before", where=kept.session)
    _require_genuine(kept, roster)
    digest = roster_digest(kept.session, roster)
    graph = draw_neighbours(roster, degree, digest)
    neighbours = graph[kept.site]
    if not threshold <= len(neighbours) < 2 * threshold:
        raise PolicyError(
            f"{len(neighbours)} neighbours do not fit secagg.threshold = {threshold}", where=kept.session
        )
    key_shares = create_shares(kept.mask_private, threshold, len(neighbours))
    seed_shares = create_shares(kept.seed, threshold, len(neighbours))
    ciphertexts = {
        name: encrypt(
            shared_key(kept.cipher_private, roster[name].cipher),
            _letter(digest, kept.site, name, key_share, seed_share),
        )
        for name, key_share, seed_share in zip(neighbours, key_shares, seed_shares, strict=True)
    }
    told = {"threshold": threshold, "roster": dict(roster), "digest": digest, "graph": graph}
    return kept.model_copy(update=told), ciphertexts


def hold(kept: SiteSession, ciphertexts: Mapping[str, bytes]) -> SiteSession:
    """Stage 3, before the update: take the neighbours' shares.

    Parameters
    ----------
    ciphertexts : mapping of str to bytes
        By neighbour that made shares; those that did not have no part in the masks.

    Raises
    ------
    PolicyError
        If they are too few, one is not what it claims to be, or an update of this session was masked
        before: the difference of two updates under the same masks would be bare.
    """
    if kept.held:
        raise PolicyError("an update of this session was masked before", where=kept.session)
    if len(ciphertexts) < kept.threshold or not kept.threshold:
        raise PolicyError(
            f"{len(ciphertexts)} neighbours made shares, fewer than secagg.threshold = {kept.threshold}",
            where=kept.session,
        )
    held = {name: _open(kept, name, ciphertext) for name, ciphertext in ciphertexts.items()}
    return kept.model_copy(update={"held": held})


def masked(kept: SiteSession, levels: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Stage 3: the update under the site's own mask and one with each neighbour that made shares.

    Parameters
    ----------
    levels : array, uint32, (n,)
        The quantised update.
    """
    total = levels + self_mask(kept.seed, kept.session, levels.size)
    for name in kept.held:
        mask = pair_mask(kept.mask_private, kept.roster[name].mask, kept.session, levels.size)
        (np.add if adds(kept.site, name) else np.subtract)(total, mask, out=total)
    return total


def agree(kept: SiteSession, receipts: Mapping[str, bytes], signing_key: bytes) -> tuple[SiteSession, bytes]:
    """Stage 4: agree to the sites of the sum, which all others will see.

    Parameters
    ----------
    kept : SiteSession
    receipts : mapping of str to bytes
        What each site of the sum signed when its update went out.
    signing_key : bytes

    Returns
    -------
    kept : SiteSession
    signature : bytes
        Of the ``agreement`` to those sites.

    Raises
    ------
    PolicyError
        If the site has agreed to others, its own update is not among them, an update has no receipt or has
        not been masked with this site's mask, or the sites do not cover one another.
    """
    survivors = tuple(sorted(receipts))
    if kept.agreed and kept.agreed != survivors:
        raise PolicyError("the site has agreed to a sum over other sites", where=kept.session)
    left, own = set(survivors), set(kept.graph.get(kept.site, ()))
    if not kept.held or kept.site not in left:
        raise PolicyError("a sum without the site's own update", where=kept.session)
    for name in survivors:
        if name not in kept.roster or not is_signed(
            kept.roster[name].identity, receipts[name], *receipt(kept.digest, name)
        ):
            raise PolicyError(f"'{name}' has not signed that it sent an update", where=kept.session)
    if unmasked := (left & own) - kept.held.keys():
        raise PolicyError(f"no mask is shared with {', '.join(sorted(unmasked))}", where=kept.session)
    if alone := uncovered(kept.graph, survivors, left, kept.threshold):
        raise PolicyError(
            f"too few neighbours of {', '.join(alone)} are left for secagg.threshold = {kept.threshold}",
            where=kept.session,
        )
    if not connected(kept.graph, left):
        raise PolicyError("the sites of the sum fall apart into several sums", where=kept.session)
    return kept.model_copy(update={"agreed": survivors}), sign(
        signing_key, *agreement(kept.digest, survivors)
    )


def shares_for_unmasking(kept: SiteSession, agreements: Mapping[str, bytes]) -> dict[str, bytes]:
    """Stage 5: of each neighbour the share of its seed if its update is in the sum, else of its key.

    Parameters
    ----------
    kept : SiteSession
    agreements : mapping of str to bytes
        By site, its signature of the sum that this site has agreed to.

    Raises
    ------
    PolicyError
        If the site has agreed to none, or fewer than a majority with it: others may have been told of
        another sum.
    """
    statement = agreement(kept.digest, kept.agreed)
    agreeing = [
        name
        for name, signature in agreements.items()
        if name in kept.roster and is_signed(kept.roster[name].identity, signature, *statement)
    ]
    if not kept.agreed or len(agreeing) < majority(kept.graph, kept.threshold):
        raise PolicyError(f"{len(agreeing)} sites agree to the sum, which are too few", where=kept.session)
    return {
        name: shares.seed_share if name in kept.agreed else shares.key_share
        for name, shares in kept.held.items()
    }


def _require_genuine(kept: SiteSession, roster: Roster) -> None:
    if roster.get(kept.site) != kept.member:
        raise PolicyError("the roster has not the site's own keys", where=kept.session)
    if wrong := [site for site, member in roster.items() if not is_genuine(member, kept.session, site)]:
        raise PolicyError(f"the keys of {', '.join(wrong)} are not signed by the site", where=kept.session)
    keys = [key for member in roster.values() for key in (member.cipher, member.mask)]
    if len(set(keys)) < len(keys):
        raise PolicyError("two sites have the same key", where=kept.session)


def _letter(digest: str, sender: str, receiver: str, key_share: bytes, seed_share: bytes) -> bytes:
    return json.dumps([digest, sender, receiver, key_share.hex(), seed_share.hex()]).encode()


def _open(kept: SiteSession, sender: str, ciphertext: bytes) -> HeldShares:
    if sender not in kept.graph[kept.site]:
        raise PolicyError(f"'{sender}' is no neighbour", where=kept.session)
    try:
        letter = decrypt(shared_key(kept.cipher_private, kept.roster[sender].cipher), ciphertext)
        *heading, key_share, seed_share = json.loads(letter)
        shares = HeldShares(key_share=bytes.fromhex(key_share), seed_share=bytes.fromhex(seed_share))
    except (InvalidToken, ValueError, TypeError):
        raise PolicyError(f"shares of '{sender}' cannot be read", where=kept.session) from None
    if heading != [kept.digest, sender, kept.site]:
        raise PolicyError(f"shares of '{sender}' are not for this site and session", where=kept.session)
    return shares
