"""Which split a subject belongs to: a function of the subject's id alone."""

import numpy as np
from meds.schema import held_out_split, train_split, tuning_split
from numpy.typing import NDArray

from wardlaw.seeds import derive_seed

TRAIN_SHARE, TUNING_SHARE = 0.8, 0.1


def mix64(ids: NDArray[np.int64], salt: int) -> NDArray[np.uint64]:
    """Spread ids over 64 bits.

    The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014, Fig. 17) applied to
    ``id + salt`` modulo 2**64: a bijection, equal on every machine and version.

    Parameters
    ----------
    ids : (n,) int64
    salt : int
        Another salt gives another, unrelated spread.

    Returns
    -------
    (n,) uint64
    """
    with np.errstate(over="ignore"):
        z = np.asarray(ids, dtype=np.int64).astype(np.uint64) + np.uint64(salt % 2**64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(z ^ (z >> np.uint64(31)), dtype=np.uint64)


def splits_of(
    ids: NDArray[np.int64], seed: int = 0, train: float = TRAIN_SHARE, tuning: float = TUNING_SHARE
) -> NDArray[np.str_]:
    """Split of each subject: in expectation 0.8 train, 0.1 tuning, 0.1 held_out if no others are given.

    The site has no part in it, so that a patient who is known to two hospitals under one
    id is in the same split at both, and no other patient's presence can change it.

    Parameters
    ----------
    ids : (n,) int64
        Subject ids.
    seed : int
        Another seed gives another division.
    train, tuning : float
        Their shares; the rest is held out.

    Returns
    -------
    (n,) str
        Split names of the ``meds`` package.
    """
    spread = mix64(ids, derive_seed(seed, "split")) / np.float64(2**64)
    names = np.array([train_split, tuning_split, held_out_split])
    edges = np.array([train, train + tuning])
    return np.asarray(names[np.searchsorted(edges, spread, side="right")])


def split_of(subject_id: int, seed: int = 0) -> str:
    """Split of one subject; see `splits_of`.

    Examples
    --------
    >>> split_of(10000032) == split_of(10000032)
    True
    """
    return str(splits_of(np.array([subject_id], dtype=np.int64), seed)[0])
