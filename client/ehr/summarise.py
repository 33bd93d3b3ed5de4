"""A site's sketch: what its train patients say about codes and values, above the site's floor.

Nothing of another patient, no code and no ancestor of a code of fewer than ``floor``
patients, and no count that is not rounded leaves the site.
"""

from collections.abc import Iterator
from pathlib import Path

import meds.schema as meds
import numpy as np
from numpy.typing import NDArray

from client.ehr.cells import form_cells
from client.ehr.meds_root import MedsRoot, open_root
from client.ehr.timeline import Timelines, read_timelines, split_subjects
from client.ehr.units import PatientCodes, count_pairs, count_units
from wardlaw.sketches import VALUES_PER_ITEM, Cells, Counts, SiteSketch
from wardlaw.vocabulary import Scheme

VALUES_AT_ONCE = 20_000_000
"""Values in memory at one time; where there are more, the root is read several times."""


def summarise(meds_root: Path, scheme: Scheme, *, floor: int = 10, count_rounding: int = 10) -> SiteSketch:
    """Summarise the train patients of a MEDS root.

    Parameters
    ----------
    meds_root : Path
    scheme : {"ethos", "fused"}
        Whose units are counted.
    floor : int
        Train patients that a unit, or a code's values, must have for its name to appear;
        at least ``VALUES_PER_ITEM``.
    count_rounding : int
        Counts are rounded to multiples of this.

    Returns
    -------
    SiteSketch

    Raises
    ------
    ValueError
        If the floor is too low.
    DataError
        If the root is not a sound MEDS root.
    """
    if floor < VALUES_PER_ITEM:
        raise ValueError(f"the floor is at least {VALUES_PER_ITEM}")
    root = open_root(meds_root)
    pairs = count_pairs(_train(root))
    units = {
        unit: Counts(_rounded(counts.patients, count_rounding), _rounded(counts.events, count_rounding))
        for unit, counts in count_units(pairs, scheme, floor).items()
    }
    cells: dict[str, Cells] = {}
    for codes in _batches(pairs, floor):
        cells.update(_cells_of(root, codes, floor, count_rounding))
    return SiteSketch(scheme, units, cells)


def _train(root: MedsRoot) -> Iterator[Timelines]:
    subjects = split_subjects(root, meds.train_split)
    return (part.of(subjects) for _, part in read_timelines(root))


def _rounded(count: int, unit: int) -> int:
    """Nearest multiple, but not 0."""
    return max(unit * ((count + unit // 2) // unit), unit)


def _batches(pairs: PatientCodes, floor: int) -> Iterator[list[str]]:
    """Codes whose values ``floor`` patients have, in lots of up to ``VALUES_AT_ONCE`` values."""
    has_values = pairs.valued > 0
    patients = np.bincount(pairs.codes[has_values], minlength=len(pairs.names))
    values = np.bincount(pairs.codes, weights=pairs.valued, minlength=len(pairs.names))
    lot: list[str] = []
    held = 0.0
    for code in np.flatnonzero(patients >= floor):
        if lot and held + values[code] > VALUES_AT_ONCE:
            yield lot
            lot, held = [], 0.0
        lot.append(pairs.names[code])
        held += values[code]
    if lot:
        yield lot


def _cells_of(root: MedsRoot, names: list[str], floor: int, rounding: int) -> Iterator[tuple[str, Cells]]:
    number = {name: place for place, name in enumerate(names)}
    codes, owners, values = (np.concatenate(column) for column in zip(*_valued(root, number), strict=True))
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(names)))
    for name, rows in zip(names, np.split(order, ends[:-1]), strict=True):
        cells = form_cells(values[rows], owners[rows], floor, rounding)
        if cells is not None:
            yield name, cells


def _valued(
    root: MedsRoot, number: dict[str, int]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]]:
    """Code, subject and value of each event with a value of one of these codes."""
    for part in _train(root):
        number_of = np.array([number.get(name, -1) for name in part.names], dtype=np.int64)
        codes = number_of[part.codes]
        kept = (codes >= 0) & np.isfinite(part.values)
        yield codes[kept], part.subject_ids[part.owners()[kept]], part.values[kept]
