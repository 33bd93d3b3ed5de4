"""CODE-15 %: ``exams.csv`` and HDF5 parts with ``tracings`` and ``exam_id`` (Zenodo 4916206, Ribeiro et al.).

Tracings have 4096 samples at 400 Hz of the leads I, II, III, aVR, aVL, aVF, V1 to V6. Shorter exams are
filled with zeros on both sides, which are taken off again here.

The unit is not beyond doubt. The publishers write "at the scale 1e-4 V, so if the signal is in V it should be
multiplied by 1000", which contradicts itself; the makers of the George B. Moody Challenge of 2025 read the
numbers as mV, and so do we. Users have found amplitudes about twice those of other databases when read so
(antonior92/ecg-age-prediction, issue 5), which per-lead scaling takes away.

An exam without tracing is quarantined as ``no-signal``, a tracing without exam as ``not-in-table``. The parts
that were published end in a tracing of zeros with exam 0, which is one of the latter.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from client.ecg.demographics import age_of
from client.ecg.record import LEADS, EcgRecord, Quarantined
from client.ecg.sources.digitise import digitise
from client.ecg.sources.table import by_column, check_site_column, refuse_patients, rows, site_of
from wardlaw.errors import DataError

TABLE = "exams.csv"
RATE = 400.0

LABELS = {
    "1dAVb": "270492004",
    "RBBB": "59118001",
    "LBBB": "164909002",
    "SB": "426177001",
    "ST": "427084000",
    "AF": "164889003",
    "normal_ecg": "426783006",
}
"""SNOMED CT codes of the table's columns; a normal ECG is in sinus rhythm, as the Challenge has it."""

_COLUMNS = ("exam_id", "age", "is_male", "patient_id", "1dAVb", "RBBB", "LBBB", "SB", "ST", "AF")
_TRUE, _FALSE = {"true", "1", "1.0"}, {"false", "0", "0.0"}


@dataclass(frozen=True)
class Code15Reference:
    """An exam and its tracing.

    Attributes
    ----------
    name : str
        Exam's id, or part and place of a tracing without exam.
    part : Path or None
        HDF5 file; none if there is no tracing.
    place : int
        Place in the part.
    exam : tuple of (column, value)
        What the table says; empty if it does not have the exam.
    site : str
    """

    name: str
    part: Path | None
    place: int
    exam: tuple[tuple[str, str], ...]
    site: str


def list_code15(folder: Path, patients: Path | None = None, site_column: str = "") -> list[Code15Reference]:
    """Exams in the table's order, then the tracings that belong to none.

    Raises
    ------
    ConfigError
        If ``site_column`` is not in the table, or there is a table of patients.
    DataError
        If the table or a part cannot be read as what it claims to be.
    """
    refuse_patients(patients, TABLE)
    path = folder / TABLE
    exams = by_column(rows(path, *_COLUMNS), "exam_id", path)
    columns = list(next(iter(exams.values()), {}))
    check_site_column(site_column, columns)
    kept = [column for column in (*_COLUMNS, "normal_ecg") if column in columns]
    parts = sorted({*folder.rglob("*.hdf5"), *folder.rglob("*.h5")})
    if not parts:
        raise DataError("no HDF5 parts", where=str(folder), remedy="Unpack exams_part*.zip beside exams.csv")
    places: dict[str, tuple[Path, int]] = {}
    unlisted = []
    for part in parts:
        for place, exam in enumerate(_exam_ids(part)):
            if exam in exams and exam not in places:
                places[exam] = part, place
            else:
                unlisted.append(Code15Reference(f"{part.stem}/{place}", part, place, (), ""))
    listed = [
        Code15Reference(exam, part, place, tuple((key, row[key]) for key in kept), site_of(row, site_column))
        for exam, row in exams.items()
        for part, place in [places.get(exam, (None, 0))]
    ]
    return listed + unlisted


def read_code15(reference: Code15Reference) -> EcgRecord | Quarantined:
    """Read one exam."""
    if not reference.exam:
        return Quarantined(reference.name, "not-in-table", f"its exam is not in {TABLE}, or there already")
    if reference.part is None:
        return Quarantined(reference.name, "no-signal", "in none of the parts that are there")
    try:
        tracing = _tracings(reference.part)[reference.place]
    except OSError as error:
        return Quarantined(reference.name, "unreadable", str(error))
    exam = dict(reference.exam)
    digital, gain, baseline = digitise(without_padding(tracing))
    return EcgRecord(
        name=reference.name,
        patient=exam["patient_id"].strip() or reference.name,
        digital=digital,
        gain=gain,
        baseline=baseline,
        rate=RATE,
        age=age_of(exam["age"]),
        sex=_sex(exam["is_male"]),
        diagnoses=tuple(code for column, code in LABELS.items() if _is_true(exam.get(column, ""))),
        site=reference.site,
    )


def without_padding(tracing: NDArray[Any]) -> NDArray[Any]:
    """A tracing, shape (samples, leads), without the samples at its ends that are zero on every lead."""
    recorded = np.flatnonzero(np.any(tracing != 0, axis=1))
    return tracing[recorded[0] : recorded[-1] + 1] if len(recorded) else tracing[:0]


def _exam_ids(part: Path) -> list[str]:
    try:
        with h5py.File(part) as file:
            exams, tracings = file["exam_id"], file["tracings"]
            if tracings.ndim != 3 or tracings.shape[2] != len(LEADS) or len(tracings) != len(exams):
                raise DataError(
                    f"tracings have shape {tracings.shape} for {len(exams)} exams", where=str(part)
                )
            return [str(int(exam)) for exam in exams[:]]
    except (OSError, KeyError) as error:
        raise DataError(
            f"is not a part of CODE-15: {error}", where=str(part), remedy="Download it again"
        ) from None


@lru_cache(maxsize=4)
def _tracings(part: Path) -> Any:
    """Tracings of a part, left open: opening takes longer than reading one exam of the same part."""
    return h5py.File(part)["tracings"]


def _sex(is_male: str) -> str:
    word = is_male.strip().casefold()
    return "male" if word in _TRUE else "female" if word in _FALSE else ""


def _is_true(value: str) -> bool:
    return value.strip().casefold() in _TRUE
