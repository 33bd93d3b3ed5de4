"""Rotary positions of a window's tokens: their order, and for ``fused`` also their times."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

HOUR = 60.0
"""Minutes; a gap of this length counts as much as one token more."""


def window_positions(scheme: str, minutes: NDArray[Any]) -> NDArray[np.float32]:
    """Position of each token of a window, from 0 at its first.

    ``ethos`` writes time as tokens, so a position is a count: ``p_i = i``. ``fused`` has no
    time tokens; each step adds the logarithm of the time passed,

        p_i - p_(i-1) = 1 + log2(1 + (m_i - m_(i-1)) / 60),

    so an hour counts as 1 more, a day as 4.6, a month as 9.5 and a year as 13.1. Steps add
    up, so the distance of two tokens, which is all that a rotary position carries (Su et
    al., 2021), does not depend on where the window begins.

    Parameters
    ----------
    scheme : {"ethos", "fused"}
    minutes : ndarray of int, (n,)
        The shard's ``minutes`` of the window, not descending.

    Returns
    -------
    ndarray of float32, (n,)

    Examples
    --------
    >>> window_positions("fused", np.array([0, 0, 60, 240]))
    array([0., 1., 3., 6.], dtype=float32)
    """
    if scheme == "ethos":
        return np.arange(len(minutes), dtype=np.float32)
    gaps = np.diff(np.asarray(minutes, dtype=np.float64), prepend=minutes[:1])
    steps = 1.0 + np.log2(1.0 + gaps / HOUR)
    steps[:1] = 0.0
    return np.cumsum(steps).astype(np.float32)
