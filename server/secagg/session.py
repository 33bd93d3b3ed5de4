"""A session at the server, as pure steps from stage to stage, and the sum that comes of it."""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from flwr.common.secure_aggregation.crypto.shamir import combine_shares
from numpy.typing import NDArray

from server.secagg.graph import draw_neighbours
from wardlaw.errors import RoundError
from wardlaw.secagg.keys import PublicKeys, adds, commitment, pair_mask, public_key, self_mask

_REMEDY = "Bring more sites back, or set secagg.neighbours higher in a new run"


@dataclass(frozen=True)
class Announced:
    """Stage 1 over: the sites that told their keys, and the graph over them.

    Attributes
    ----------
    session : str
    threshold : int
    keys : mapping of str to PublicKeys
    neighbours : mapping of str to tuple of str
    """

    session: str
    threshold: int
    keys: Mapping[str, PublicKeys]
    neighbours: Mapping[str, tuple[str, ...]]

    def keys_for(self, site: str) -> dict[str, PublicKeys]:
        """Public keys of a site's neighbours."""
        return {name: self.keys[name] for name in self.neighbours[site]}


@dataclass(frozen=True)
class Shared:
    """Stage 2 over: the sites that made shares.

    Attributes
    ----------
    announced : Announced
    ciphertexts : mapping of str to mapping of str to bytes
        By sender and receiver.
    commitments : mapping of str to bytes
        To the seed of each sender.
    """

    announced: Announced
    ciphertexts: Mapping[str, Mapping[str, bytes]]
    commitments: Mapping[str, bytes]

    def ciphertexts_for(self, site: str) -> dict[str, bytes]:
        """What a site's neighbours wrote to it."""
        return {
            name: self.ciphertexts[name][site]
            for name in self.announced.neighbours[site]
            if name in self.ciphertexts
        }


class MaskedSum:
    """Running sum of masked updates modulo 2^32: no update is kept.

    Attributes
    ----------
    total : array, uint32, (size,)
    survivors : list of str
        Sites whose update is in it.
    """

    def __init__(self, size: int) -> None:
        self.total = np.zeros(size, np.uint32)
        self.survivors: list[str] = []

    def add(self, site: str, masked: NDArray[np.uint32]) -> None:
        """Add a site's masked update, (size,)."""
        self.total += masked
        self.survivors.append(site)


def announce(session: str, threshold: int, degree: int, keys: Mapping[str, PublicKeys]) -> Announced:
    """End stage 1.

    Raises
    ------
    RoundError
        If a site would have fewer neighbours than the threshold.
    """
    neighbours = draw_neighbours(keys, degree, session)
    _require_threshold(threshold, "announced keys", neighbours, neighbours)
    return Announced(session, threshold, dict(keys), neighbours)


def gather_shares(
    announced: Announced,
    ciphertexts: Mapping[str, Mapping[str, bytes]],
    commitments: Mapping[str, bytes],
) -> Shared:
    """End stage 2.

    Raises
    ------
    RoundError
        If a site that made shares has fewer such neighbours than the threshold.
    """
    neighbours = {site: announced.neighbours[site] for site in ciphertexts}
    _require_threshold(announced.threshold, "made shares", neighbours, ciphertexts)
    return Shared(announced, ciphertexts, commitments)


def require_survivors(shared: Shared, survivors: Iterable[str]) -> None:
    """End stage 3.

    Raises
    ------
    RoundError
        If too few of a site's neighbours have sent an update for it to help, or to be helped.
    """
    neighbours = {site: shared.announced.neighbours[site] for site in shared.ciphertexts}
    _require_threshold(shared.announced.threshold, "sent an update", neighbours, survivors)


def unmask(
    shared: Shared, summed: MaskedSum, shares: Mapping[str, Mapping[str, bytes]]
) -> NDArray[np.uint32]:
    """End stage 4: the sum of the survivors' levels, in the memory of the masked sum.

    Parameters
    ----------
    shared : Shared
    summed : MaskedSum
    shares : mapping of str to mapping of str to bytes
        By the site that sent them and the site whose seed (a survivor's) or key (another's) they are of.

    Raises
    ------
    RoundError
        If fewer shares than the threshold have come, or they do not fit what was announced.
    """
    announced, total = shared.announced, summed.total
    survivors = set(summed.survivors)
    for site in shared.ciphertexts:
        secret = _recovered(shared, shares, site, alive=site in survivors)
        if site in survivors:
            total -= self_mask(secret, announced.session, total.size)
            continue
        for name in survivors.intersection(announced.neighbours[site]):
            mask = pair_mask(secret, announced.keys[name].mask, announced.session, total.size)
            (np.subtract if adds(name, site) else np.add)(total, mask, out=total)
    return total


def _recovered(shared: Shared, shares: Mapping[str, Mapping[str, bytes]], site: str, *, alive: bool) -> bytes:
    """Seed of a survivor, or key of another, from shares of its neighbours."""
    announced = shared.announced
    found = [shares[name][site] for name in announced.neighbours[site] if site in shares.get(name, {})]
    if len(found) < announced.threshold:
        raise RoundError(
            f"{len(found)} of its neighbours helped to unmask, fewer than "
            f"secagg.threshold = {announced.threshold}",
            where=site,
            remedy=_REMEDY,
        )
    try:
        secret = combine_shares(found[: announced.threshold])
        right = (
            hmac.compare_digest(commitment(secret, announced.session), shared.commitments[site])
            if alive
            else public_key(secret) == announced.keys[site].mask
        )
    except ValueError:
        right = False
    if not right:
        raise RoundError("shares of its seed or key do not fit what it announced", where=site)
    return secret


def _require_threshold(
    threshold: int, deed: str, neighbours: Mapping[str, tuple[str, ...]], doers: Iterable[str]
) -> None:
    doing = set(doers)
    for site, others in neighbours.items():
        if (count := len(doing.intersection(others))) < threshold:
            raise RoundError(
                f"{count} of its neighbours {deed}, fewer than secagg.threshold = {threshold}",
                where=site,
                remedy=_REMEDY,
            )
