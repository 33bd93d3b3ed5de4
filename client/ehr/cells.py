"""Values as they may leave a site: cells of at least ``floor`` patients each."""

from math import ceil

import numpy as np
from numpy.typing import NDArray

from wardlaw.sketches import VALUES_PER_ITEM, Cells

MAXIMUM_CELLS = 1_000


def form_cells(
    values: NDArray[np.float32], patients: NDArray[np.int64], floor: int, rounding: int
) -> Cells | None:
    """Coarsen a code's values so that none of them, the extremes included, is one patient's mark.

    The values are sorted and cut into intervals; each is closed as soon as it holds
    values of ``floor`` patients and a ``MAXIMUM_CELLS``-th of all values, and equal
    values are never parted. What remains above the last cut belongs to the last cell.
    A cell is told by its lower median and its number of values: so what leaves is a
    value recorded at the site which has, at either side or equal to it, those of
    ``floor`` patients; least and greatest values do not leave. A rank computed from
    cells is off by less than the mass of one cell.

    Parameters
    ----------
    values : ndarray of float32, (n,)
        Finite.
    patients : ndarray of int64, (n,)
        Whose each value is.
    floor : int
        At least ``VALUES_PER_ITEM``.
    rounding : int
        Cumulated numbers of values are rounded to multiples of this, and of ``VALUES_PER_ITEM``.

    Returns
    -------
    Cells or None
        None if fewer than ``floor`` patients have values.
    """
    order = np.argsort(values, kind="stable")
    ends = _cut(values[order], patients[order], floor)
    if not len(ends):
        return None
    starts = np.concatenate([[0], ends[:-1]])
    medians = values[order][(starts + ends - 1) // 2]
    rounded = _round(ends, rounding) if rounding > 1 else ends
    items = np.diff(_round(rounded, VALUES_PER_ITEM) // VALUES_PER_ITEM, prepend=0)
    kept = items > 0
    return Cells(medians[kept], items[kept])


def _round(counts: NDArray[np.int64], unit: int) -> NDArray[np.int64]:
    return unit * ((counts + unit // 2) // unit)


def _cut(values: NDArray[np.float32], patients: NDArray[np.int64], floor: int) -> NDArray[np.int64]:
    """Ends of the cells of sorted values."""
    least = max(floor, ceil(len(values) / MAXIMUM_CELLS))
    ends: list[int] = []
    start = 0
    while (seen := _reach(patients, start, floor)) is not None:
        enough = min(max(seen, start + least), len(values))
        start = int(np.searchsorted(values, values[enough - 1], side="right"))
        ends.append(start)
    if ends:
        ends[-1] = len(values)
    return np.array(ends, dtype=np.int64)


def _reach(patients: NDArray[np.int64], start: int, floor: int) -> int | None:
    """Where ``floor`` distinct patients have been seen from ``start`` on, or None."""
    seen: set[int] = set()
    for chunk in range(start, len(patients), 64):
        for end, patient in enumerate(patients[chunk : chunk + 64].tolist(), chunk + 1):
            seen.add(patient)
            if len(seen) == floor:
                return end
    return None
