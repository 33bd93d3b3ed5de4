"""Who shares masks with whom, and which sites may be lost of such a graph."""

import hashlib
from collections.abc import Iterable, Mapping

Neighbours = Mapping[str, tuple[str, ...]]


def regular_degree(count: int, degree: int) -> int:
    """Neighbours that each of ``count`` sites can have, of ``degree`` asked for.

    Examples
    --------
    >>> [regular_degree(6, 5), regular_degree(3, 5), regular_degree(9, 5)]
    [5, 2, 4]
    """
    degree = min(degree, count - 1)
    # No graph has an odd number of sites with an odd number of neighbours each.
    return degree - degree * count % 2


def draw_neighbours(sites: Iterable[str], degree: int, session: str) -> dict[str, tuple[str, ...]]:
    """Neighbours of each site in a regular graph over a random circle (Bell et al., CCS 2020, section 3).

    Parameters
    ----------
    sites : iterable of str
        n different names.
    degree : int
        k: neighbours of a site. All others if they are not more; one fewer than asked for where n and k are
        both odd, since no such graph exists.
    session : str
        What the circle follows from: the digest of the session's roster, so that all sites draw the same.

    Returns
    -------
    dict of str to tuple of str
        In the order of names.
    """
    circle = sorted(sites, key=lambda site: hashlib.sha256(f"{session} {site}".encode()).digest())
    count = len(circle)
    degree = regular_degree(count, degree)
    reach = list(range(1, degree // 2 + 1)) + ([count // 2] if degree % 2 else [])
    return {
        site: tuple(
            sorted(
                {circle[(place + step) % count] for step in reach}
                | {circle[(place - step) % count] for step in reach}
            )
        )
        for place, site in sorted(enumerate(circle), key=lambda entry: entry[1])
    }


def uncovered(neighbours: Neighbours, sites: Iterable[str], left: set[str], threshold: int) -> dict[str, int]:
    """Sites with fewer than ``threshold`` neighbours among those left, and how many they have."""
    counts = {site: len(left.intersection(neighbours[site])) for site in sites}
    return {site: count for site, count in counts.items() if count < threshold}


def connected(neighbours: Neighbours, left: set[str]) -> bool:
    """Whether masks bind all sites that are left together.

    If not, no mask stands between two parts of them, and each part's sum comes out by itself. A threshold
    of more than k/2 excludes that for even k (a part would end at a gap of k/2 on the circle, and its last
    site have only the k/2 before it) but not for odd k, where the opposite site is one more.
    """
    found: set[str] = set()
    seen = set(sorted(left)[:1])
    while seen:
        found |= seen
        seen = {name for site in seen for name in neighbours[site]} & left - found
    return found == left


def majority(neighbours: Neighbours, threshold: int) -> int:
    """Sites that must agree on a sum: the part of all sites that t is of k, rounded up.

    Two groups of n t / k sites have at least n (2 t / k - 1) in common, at least one since t > k / 2, and
    each honest site agrees to one sum only. In a complete graph it is t + 1: those without whom nothing
    can be unmasked anyway.
    """
    degree = max(len(others) for others in neighbours.values())
    return -(-len(neighbours) * threshold // degree)
