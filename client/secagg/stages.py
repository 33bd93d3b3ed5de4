"""The four stages at a site, as pure functions of what it keeps and what it is sent.

Bonawitz et al., CCS 2017, figure 4, over the graph of Bell et al., CCS 2020, algorithm 3.
"""

import json
from collections.abc import Mapping, Sequence

import numpy as np
from cryptography.fernet import InvalidToken
from flwr.common.secure_aggregation.crypto.shamir import create_shares
from flwr.common.secure_aggregation.crypto.symmetric_encryption import decrypt, encrypt
from numpy.typing import NDArray

from client.secagg.session import HeldShares, SiteSession
from wardlaw.errors import PolicyError
from wardlaw.privacy.keystream import new_key
from wardlaw.secagg.keys import (
    PublicKeys,
    adds,
    new_private_key,
    pair_mask,
    public_key,
    self_mask,
    shared_key,
)


def set_up(site: str, session: str) -> tuple[SiteSession, PublicKeys]:
    """Stage 1: fresh keys and a fresh seed, from the system's entropy."""
    kept = SiteSession(
        site=site,
        session=session,
        cipher_private=new_private_key(),
        mask_private=new_private_key(),
        seed=new_key(),
    )
    return kept, PublicKeys(public_key(kept.cipher_private), public_key(kept.mask_private))


def share(
    kept: SiteSession, neighbours: Mapping[str, PublicKeys], threshold: int
) -> tuple[SiteSession, dict[str, bytes]]:
    """Stage 2: shares of the mask's private key and of the seed, encrypted to each neighbour.

    Returns
    -------
    kept : SiteSession
    ciphertexts : dict of str to bytes
        By neighbour.

    Raises
    ------
    PolicyError
        If the neighbours are too few for the threshold or too many for its majority, two have the same
        key, or shares were made before.
    """
    if kept.neighbours:
        raise PolicyError("shares of this session were made before", where=kept.session)
    if kept.site in neighbours or not threshold <= len(neighbours) < 2 * threshold:
        raise PolicyError(
            f"{len(neighbours)} neighbours do not fit secagg.threshold = {threshold}", where=kept.session
        )
    keys = [key for public in neighbours.values() for key in (public.cipher, public.mask)]
    if len({*keys, public_key(kept.cipher_private), public_key(kept.mask_private)}) < len(keys) + 2:
        raise PolicyError("two neighbours have the same key", where=kept.session)
    key_shares = create_shares(kept.mask_private, threshold, len(neighbours))
    seed_shares = create_shares(kept.seed, threshold, len(neighbours))
    ciphertexts = {
        name: encrypt(
            shared_key(kept.cipher_private, public.cipher),
            _letter(kept.session, kept.site, name, key_share, seed_share),
        )
        for (name, public), key_share, seed_share in zip(
            neighbours.items(), key_shares, seed_shares, strict=True
        )
    }
    return kept.model_copy(update={"threshold": threshold, "neighbours": dict(neighbours)}), ciphertexts


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
        mask = pair_mask(kept.mask_private, kept.neighbours[name].mask, kept.session, levels.size)
        (np.add if adds(kept.site, name) else np.subtract)(total, mask, out=total)
    return total


def shares_for_unmasking(kept: SiteSession, survivors: Sequence[str]) -> dict[str, bytes]:
    """Stage 4: of each neighbour the share of its seed if its update is in the sum, else of its key.

    Parameters
    ----------
    survivors : sequence of str
        All sites whose updates are in the sum.

    Raises
    ------
    PolicyError
        If the site's own update is not in it, or those of too few neighbours: it would tell more than a
        sum may.
    """
    among = set(survivors)
    alive = len(among & kept.held.keys())
    if kept.site not in among or not kept.held or alive < kept.threshold:
        raise PolicyError(
            f"a sum with {alive} of the site's neighbours, fewer than secagg.threshold = {kept.threshold}, "
            "or without the site itself",
            where=kept.session,
        )
    return {
        name: shares.seed_share if name in among else shares.key_share for name, shares in kept.held.items()
    }


def _letter(session: str, sender: str, receiver: str, key_share: bytes, seed_share: bytes) -> bytes:
    return json.dumps([session, sender, receiver, key_share.hex(), seed_share.hex()]).encode()


def _open(kept: SiteSession, sender: str, ciphertext: bytes) -> HeldShares:
    if sender not in kept.neighbours:
        raise PolicyError(f"'{sender}' is no neighbour", where=kept.session)
    try:
        letter = decrypt(shared_key(kept.cipher_private, kept.neighbours[sender].cipher), ciphertext)
        *heading, key_share, seed_share = json.loads(letter)
    except (InvalidToken, ValueError):
        raise PolicyError(f"shares of '{sender}' cannot be read", where=kept.session) from None
    if heading != [kept.session, sender, kept.site]:
        raise PolicyError(f"shares of '{sender}' are not for this site and session", where=kept.session)
    return HeldShares(key_share=bytes.fromhex(key_share), seed_share=bytes.fromhex(seed_share))
