"""A session at the server, as pure steps from stage to stage, and the sum that comes of it."""

import hmac
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from flwr.common.secure_aggregation.crypto.shamir import combine_shares
from numpy.typing import NDArray

from wardlaw.errors import RoundError
from wardlaw.secagg.graph import Neighbours, connected, draw_neighbours, majority, uncovered
from wardlaw.secagg.keys import adds, commitment, pair_mask, public_key, self_mask
from wardlaw.secagg.roster import Roster, roster_digest

_REMEDY = "Bring more sites back, or set secagg.neighbours higher in a new run"


@dataclass(frozen=True)
class Announced:
    """Stage 1 over: the sites that told their keys, and the graph over them.

    Attributes
    ----------
    session : str
        With run and round (``wardlaw.secagg.roster.session_name``).
    threshold : int
    roster : mapping of str to Member
    digest : str
        Of the roster.
    graph : mapping of str to tuple of str
        Neighbours of each site, which draws them itself.
    """

    session: str
    threshold: int
    roster: Roster
    digest: str
    graph: Neighbours


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
            for name in self.announced.graph[site]
            if name in self.ciphertexts
        }


class MaskedSum:
    """Running sum of masked updates modulo 2^32: no update is kept.

    Attributes
    ----------
    total : array, uint32, (size,)
    receipts : dict of str to bytes
        By site whose update is in it, its signature for that.
    """

    def __init__(self, size: int) -> None:
        self.total = np.zeros(size, np.uint32)
        self.receipts: dict[str, bytes] = {}

    @property
    def survivors(self) -> list[str]:
        """Sites whose update is in the sum."""
        return list(self.receipts)

    def add(self, site: str, masked: NDArray[np.uint32], receipt: bytes) -> None:
        """Add a site's masked update, (size,)."""
        self.total += masked
        self.receipts[site] = receipt


def announce(session: str, threshold: int, degree: int, roster: Roster) -> Announced:
    """End stage 1.

    Raises
    ------
    RoundError
        If a site would have fewer neighbours than the threshold.
    """
    digest = roster_digest(session, roster)
    graph = draw_neighbours(roster, degree, digest)
    _require_threshold(threshold, "announced keys", graph, graph, graph)
    return Announced(session, threshold, dict(roster), digest, graph)


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
    _require_threshold(announced.threshold, "made shares", announced.graph, ciphertexts, ciphertexts)
    return Shared(announced, ciphertexts, commitments)


def require_survivors(shared: Shared, survivors: Iterable[str]) -> None:
    """End stage 3.

    Raises
    ------
    RoundError
        If too few of a site's neighbours have sent an update for it to help, or to be helped, or the sites
        that did fall apart into several sums.
    """
    announced, left = shared.announced, set(survivors)
    _require_threshold(announced.threshold, "sent an update", announced.graph, shared.ciphertexts, left)
    if not connected(announced.graph, left):
        raise RoundError("the sites that sent an update fall apart into several sums", remedy=_REMEDY)


def require_agreement(announced: Announced, agreeing: Collection[str]) -> None:
    """End stage 4.

    Raises
    ------
    RoundError
        If too few sites have agreed to the sum for any of them to help.
    """
    needed = majority(announced.graph, announced.threshold)
    if len(agreeing) < needed:
        raise RoundError(f"{len(agreeing)} sites agreed to the sum, fewer than {needed}", remedy=_REMEDY)


def unmask(
    shared: Shared, summed: MaskedSum, shares: Mapping[str, Mapping[str, bytes]]
) -> NDArray[np.uint32]:
    """End stage 5: the sum of the survivors' levels, in the memory of the masked sum.

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
        for name in survivors.intersection(announced.graph[site]):
            mask = pair_mask(secret, announced.roster[name].mask, announced.session, total.size)
            (np.subtract if adds(name, site) else np.add)(total, mask, out=total)
    return total


def _recovered(shared: Shared, shares: Mapping[str, Mapping[str, bytes]], site: str, *, alive: bool) -> bytes:
    """Seed of a survivor, or key of another, from shares of its neighbours."""
    announced = shared.announced
    found = [shares[name][site] for name in announced.graph[site] if site in shares.get(name, {})]
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
            else public_key(secret) == announced.roster[site].mask
        )
    except ValueError:
        right = False
    if not right:
        raise RoundError("shares of its seed or key do not fit what it announced", where=site)
    return secret


def _require_threshold(
    threshold: int, deed: str, graph: Neighbours, sites: Iterable[str], doers: Iterable[str]
) -> None:
    for site, count in uncovered(graph, sites, set(doers), threshold).items():
        raise RoundError(
            f"{count} of its neighbours {deed}, fewer than secagg.threshold = {threshold}",
            where=site,
            remedy=_REMEDY,
        )
