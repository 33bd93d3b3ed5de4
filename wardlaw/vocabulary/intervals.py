"""The 13 classes of time between events, as in ETHOS (Renc et al., npj Digit. Med. 2024)."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

_HOUR, _DAY, _WEEK, _MONTH = 60, 1440, 10080, 43830
"""In minutes; a month is a twelfth of 365.25 days."""


@dataclass(frozen=True)
class IntervalClass:
    """A class of gaps, from ``lower`` up to the next class's lower bound.

    Attributes
    ----------
    name : str
        Its token.
    lower : int
        Shortest gap in minutes.
    typical : float
        Gap in minutes that a generated token stands for: the geometric mean of the
        bounds; for the last class, six months, since it is repeated.
    """

    name: str
    lower: int
    typical: float


_NAMES = (
    "_5m-15m",
    "_15m-1h",
    "_1h-2h",
    "_2h-6h",
    "_6h-12h",
    "_12h-1d",
    "_1d-3d",
    "_3d-1w",
    "_1w-2w",
    "_2w-1mt",
    "_1mt-3mt",
    "_3mt-6mt",
    "_=6mt",
)
_LOWER = (
    5,
    15,
    _HOUR,
    2 * _HOUR,
    6 * _HOUR,
    12 * _HOUR,
    _DAY,
    3 * _DAY,
    _WEEK,
    2 * _WEEK,
    _MONTH,
    3 * _MONTH,
    6 * _MONTH,
)
_TYPICAL = (*(float(np.sqrt(a * b)) for a, b in pairwise(_LOWER)), float(_LOWER[-1]))

INTERVALS = tuple(IntervalClass(*parts) for parts in zip(_NAMES, _LOWER, _TYPICAL, strict=True))
"""Shortest first. Gaps under five minutes have no token."""


def interval_classes(gaps: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Class of each gap, and how many times its token stands.

    Parameters
    ----------
    gaps : ndarray of int
        Minutes between an event and the one before it.

    Returns
    -------
    classes, repeats : ndarray of int64
        Index into ``INTERVALS`` (meaningless where ``repeats`` is 0). ``_=6mt`` stands
        once for every whole six months, every other class once.

    Examples
    --------
    >>> classes, repeats = interval_classes(np.array([4, 5, 90, 263_000, 600_000]))
    >>> [INTERVALS[c].name for c, r in zip(classes, repeats) for _ in range(r)]
    ['_5m-15m', '_1h-2h', '_=6mt', '_=6mt', '_=6mt']
    """
    classes = np.searchsorted(_LOWER, gaps, side="right").astype(np.int64) - 1
    repeats = np.maximum(gaps // _LOWER[-1], classes >= 0)
    return classes, repeats.astype(np.int64)
