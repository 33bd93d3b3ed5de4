"""Count patients and events per unit, rolling rare codes up to ancestors that are not rare."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client.ehr.timeline import Timelines
from wardlaw.sketches import Counts
from wardlaw.vocabulary import Scheme
from wardlaw.vocabulary.hierarchy import Encoding, encodings


@dataclass(frozen=True, eq=False)
class PatientCodes:
    """Which patient has which code, how often.

    Attributes
    ----------
    names : list of str
        Codes by number.
    patients, codes, events, valued : ndarray of int32, (pairs,)
        A patient and a code, once each; its events, and those with a numeric value.
    """

    names: list[str]
    patients: NDArray[np.int32]
    codes: NDArray[np.int32]
    events: NDArray[np.int32]
    valued: NDArray[np.int32]


def count_pairs(parts: Iterable[Timelines]) -> PatientCodes:
    """Count events by patient and code."""
    numbers: dict[str, int] = {}
    columns: list[list[NDArray[np.int32]]] = [[], [], [], []]
    first_patient = 0
    for part in parts:
        number = np.array([numbers.setdefault(name, len(numbers)) for name in part.names], dtype=np.int64)
        keys, place, events = np.unique(
            part.owners() * max(len(part.names), 1) + part.codes, return_inverse=True, return_counts=True
        )
        patients, codes = np.divmod(keys, max(len(part.names), 1))
        valued = np.bincount(place[np.isfinite(part.values)], minlength=len(keys))
        found = (patients + first_patient, number[codes], events, valued)
        for column, values in zip(columns, found, strict=True):
            column.append(values.astype(np.int32))
        first_patient += len(part.subject_ids)
    whole = [np.concatenate([np.empty(0, dtype=np.int32), *column]) for column in columns]
    return PatientCodes(list(numbers), *whole)


def count_units(pairs: PatientCodes, scheme: Scheme, floor: int) -> dict[str, Counts]:
    """Units of at least ``floor`` patients.

    Each code is written by the finest encoding whose units all have ``floor`` patients,
    those counted who have a code that is written with the unit. The deepest codes are
    rolled up first, so that what is rare joins its siblings in their ancestor.

    Parameters
    ----------
    pairs : PatientCodes
    scheme : {"ethos", "fused"}
    floor : int

    Returns
    -------
    dict of str to Counts
        Sorted by name.
    """
    ways = [encodings(scheme, name) for name in pairs.names]
    current = [0] * len(ways)
    for depth in range(max(map(len, ways), default=0), 0, -1):
        written = [_way(way, place) for way, place in zip(ways, current, strict=True)]
        counts = _count(pairs, written)
        for code, way in enumerate(ways):
            is_here = len(way) - current[code] == depth
            if is_here and any(counts[unit].patients < floor for unit in written[code]):
                current[code] += 1
    counts = _count(pairs, [_way(way, place) for way, place in zip(ways, current, strict=True)])
    return {unit: counts[unit] for unit in sorted(counts) if counts[unit].patients >= floor}


def _way(ways: tuple[Encoding, ...], place: int) -> Encoding:
    return ways[place] if place < len(ways) else ()


def _count(pairs: PatientCodes, written: list[Encoding]) -> dict[str, Counts]:
    """Distinct patients and events of each unit."""
    distinct = [sorted(set(units)) for units in written]
    names = sorted({unit for units in distinct for unit in units})
    number = {name: place for place, name in enumerate(names)}
    patient_units, events = [np.empty(0, dtype=np.int64)], np.zeros(len(names))
    for place in range(max(map(len, distinct), default=0)):
        unit_of = np.array([number[units[place]] if place < len(units) else -1 for units in distinct])
        units = unit_of[pairs.codes]
        kept = units >= 0
        patient_units.append(pairs.patients[kept].astype(np.int64) * len(names) + units[kept])
        events += np.bincount(units[kept], weights=pairs.events[kept], minlength=len(names))
    # Sorted by hand: np.unique's hash table is ten times slower on keys such as these.
    keys = np.sort(np.concatenate(patient_units))
    distinct_keys = keys[np.diff(keys, prepend=-1) > 0]
    patients = np.bincount(distinct_keys % max(len(names), 1), minlength=len(names))
    return {name: Counts(int(patients[place]), int(events[place])) for name, place in number.items()}
