"""Who shares masks with whom."""

import hashlib
from collections.abc import Iterable


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
        A random name, from which the circle follows.

    Returns
    -------
    dict of str to tuple of str
        In the order of names.
    """
    circle = sorted(sites, key=lambda site: hashlib.sha256(f"{session} {site}".encode()).digest())
    count = len(circle)
    degree = min(degree, count - 1)
    if degree * count % 2:
        degree -= 1
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
