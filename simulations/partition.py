"""Divide patients into sites that differ in what or how much they have.

All functions are pure: the sites are a function of the set of patients (and their
labels), the settings and the seed; every patient is in exactly one site.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from wardlaw.errors import ConfigError, DataError
from wardlaw.seeds import generator

Subjects = NDArray[np.int64]
Sites = dict[str, Subjects]


def partition_iid(subjects: Subjects, sites: int, *, seed: int, minimum: int = 1) -> Sites:
    """Sites of equal size (to one patient) with no systematic difference.

    Parameters
    ----------
    subjects : (n,) int64
    sites : int
    seed : int
    minimum : int
        Patients that every site must get.

    Returns
    -------
    dict of str to (n_site,) int64
        Subjects of each site, ascending.

    Raises
    ------
    ConfigError, DataError
        If the settings make no sense, a subject comes twice, or there are too few.
    """
    subjects = _checked(subjects, sites, minimum)
    shuffled = generator(seed, "partition", "iid").permutation(subjects)
    return _named(np.array_split(shuffled, sites))


def partition_by_quantity(
    subjects: Subjects, sites: int, *, alpha: float, seed: int, minimum: int = 1
) -> Sites:
    """Sites that differ in size only: what is over the minimum is shared as Dirichlet(alpha).

    Parameters
    ----------
    subjects, sites, seed, minimum
        As in `partition_iid`.
    alpha : float
        Concentration of the sites' shares: large is equal sizes, small is one large site.
    """
    subjects = _checked(subjects, sites, minimum)
    _check_concentration(alpha)
    rng = generator(seed, "partition", "quantity")
    shares = rng.dirichlet(np.full(sites, alpha))
    sizes = minimum + _rounded(shares * (len(subjects) - sites * minimum))
    return _named(np.split(rng.permutation(subjects), np.cumsum(sizes)[:-1]))


def partition_by_label(
    labels: Mapping[int, str], sites: int, *, alpha: float, seed: int, minimum: int = 1
) -> Sites:
    """Sites of equal size that differ in their mix of labels (Hsu et al., arXiv 1909.06335, section 4.1).

    Each site draws its mix from Dirichlet(alpha p), with p the share of each label among
    all patients, and then its patients one by one without replacement by that mix; a
    label that is used up is left out. Sites draw one after the other, so that the last takes
    what the others left.

    Parameters
    ----------
    labels : mapping of int to str
        Label of each subject, e.g. `simulations.chapters.dominant_chapters`.
    sites, seed, minimum
        As in `partition_iid`.
    alpha : float
        Concentration: large gives all sites the same mix, small gives each few labels.
    """
    subjects = _checked(np.array(sorted(labels), dtype=np.int64), sites, minimum)
    _check_concentration(alpha)
    rng = generator(seed, "partition", "label")
    names, label = np.unique([labels[subject] for subject in subjects.tolist()], return_inverse=True)
    left = np.bincount(label)
    mixes = rng.dirichlet(alpha * left / left.sum(), sites)
    waiting = [rng.permutation(subjects[label == number]).tolist() for number in range(len(names))]
    drawn = []
    for site, size in enumerate(_rounded(np.full(sites, len(subjects) / sites)).tolist()):
        mine: list[int] = []
        for chance in rng.random(size).tolist():
            weights = np.where(left > 0, mixes[site], 0.0)
            # A site whose labels are all used up takes what is left as it comes.
            cumulative = np.cumsum(weights if weights.sum() > 0 else left)
            number = int(np.searchsorted(cumulative, chance * cumulative[-1], side="right"))
            left[number] -= 1
            mine.append(waiting[number].pop())
        drawn.append(np.array(mine, dtype=np.int64))
    return _named(drawn)


def _checked(subjects: Subjects, sites: int, minimum: int) -> Subjects:
    if sites < 1 or minimum < 1:
        raise ConfigError(f"{sites} sites of at least {minimum} patients make no partition")
    ordered = np.unique(subjects)
    if len(ordered) < len(subjects):
        raise DataError(
            f"{len(subjects) - len(ordered)} subjects come twice",
            remedy="Give each patient an id of its own, since one patient must be in one site",
        )
    if len(ordered) < sites * minimum:
        raise DataError(
            f"{len(ordered)} patients are too few for {sites} sites of at least {minimum}",
            remedy="Ask for fewer sites or lower the minimum",
        )
    return ordered


def _check_concentration(alpha: float) -> None:
    if not (alpha > 0 and np.isfinite(alpha)):
        raise ConfigError(f"must be a positive number, is {alpha}", where="--alpha")


def _rounded(sizes: NDArray[np.float64]) -> NDArray[np.int64]:
    """Whole sizes of the same sum, by largest remainder."""
    whole = np.floor(sizes).astype(np.int64)
    short = round(float(sizes.sum())) - int(whole.sum())
    whole[np.argsort(whole - sizes, kind="stable")[:short]] += 1
    return whole


def _named(parts: list[Subjects]) -> Sites:
    width = max(2, len(str(len(parts) - 1)))
    return {f"site-{number:0{width}d}": np.sort(part) for number, part in enumerate(parts)}
