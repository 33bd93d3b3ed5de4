r"""Plain arrays: for records of any origin that fit into NumPy files.

A folder holds

``records.csv``
    A row for each record: ``record`` (its name), ``patient``, ``age`` (years), ``sex`` (male or female) and
    ``diagnoses`` (SNOMED CT codes separated by ``;``). Other columns are free, and may name a site.
``signals.npy``
    Signals in mV, shape (records, samples, 12), in the order of the table and of the leads I, II, III, aVR,
    aVL, aVF, V1 to V6. Or, where lengths differ, ``signals/<record>.npy``, shape (samples, 12).
``source.toml``
    ``rate = 500``: samples a second. Or a column ``rate`` of the table, where it differs.

Empty fields of the table mean unknown; without a patient a record is its own. NaN marks a sample that was not
recorded.

Examples
--------
>>> import tempfile
>>> folder = Path(tempfile.mkdtemp())
>>> table = "record,patient,age,sex,diagnoses\nfirst,p1,67,female,426783006;39732003\nsecond,p1,,,\n"
>>> _ = (folder / "records.csv").write_text(table)
>>> _ = (folder / "source.toml").write_text("rate = 500\n")
>>> np.save(folder / "signals.npy", np.zeros((2, 5000, 12), np.float32))
>>> first = read_array(list_array(folder)[0])
>>> first.name, first.patient, first.age, first.diagnoses, first.digital.shape
('first', 'p1', 67.0, ('426783006', '39732003'), (5000, 12))
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from client.ecg.demographics import age_of, diagnoses_of, sex_of
from client.ecg.record import LEADS, EcgRecord, Quarantined
from client.ecg.sources.digitise import digitise
from client.ecg.sources.table import Row, by_column, check_site_column, refuse_patients, rows, site_of
from wardlaw.errors import DataError

TABLE = "records.csv"
_COLUMNS = ("record", "patient", "age", "sex", "diagnoses")


@dataclass(frozen=True)
class ArrayReference:
    """A record's file, its place in it (None if it has the file for itself), its row, rate and site."""

    name: str
    file: Path
    place: int | None
    row: tuple[tuple[str, str], ...]
    rate: float
    site: str


def list_array(folder: Path, patients: Path | None = None, site_column: str = "") -> list[ArrayReference]:
    """Records in the table's order, then files of ``signals`` that it does not name.

    Raises
    ------
    ConfigError
        If ``site_column`` is not in the table, or there is a table of patients.
    DataError
        If the table and the signals do not fit each other, or no rate is told.
    """
    refuse_patients(patients, TABLE)
    path = folder / TABLE
    table = by_column(rows(path, *_COLUMNS), "record", path)
    check_site_column(site_column, list(next(iter(table.values()), {})))
    whole = folder / "signals.npy"
    if whole.exists():
        _check_whole(whole, len(table))
    rate = _rate(folder)
    references = []
    for place, (name, row) in enumerate(table.items()):
        file, own_place = (whole, place) if whole.exists() else (folder / "signals" / f"{name}.npy", None)
        fields = tuple((column, row[column]) for column in _COLUMNS)
        told = _row_rate(row, rate, path)
        references.append(ArrayReference(name, file, own_place, fields, told, site_of(row, site_column)))
    named = {reference.file for reference in references}
    unlisted = sorted(set((folder / "signals").glob("*.npy")) - named)
    return references + [ArrayReference(file.stem, file, None, (), rate or 0.0, "") for file in unlisted]


def read_array(reference: ArrayReference) -> EcgRecord | Quarantined:
    """Read one record."""
    if not reference.row:
        return Quarantined(reference.name, "not-in-table", f"{TABLE} has no row for it")
    try:
        signals = np.load(reference.file, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        return Quarantined(reference.name, "no-signal", reference.file.name)
    except (OSError, ValueError, EOFError) as error:
        return Quarantined(reference.name, "unreadable", str(error))
    millivolts = signals if reference.place is None else signals[reference.place]
    if millivolts.ndim != 2 or millivolts.shape[1] != len(LEADS) or millivolts.dtype.kind not in "fiu":
        return Quarantined(reference.name, "lead-count", f"an array {millivolts.shape} of {millivolts.dtype}")
    digital, gain, baseline = digitise(millivolts)
    row = dict(reference.row)
    diagnoses, unknown = diagnoses_of(row["diagnoses"].split(";"))
    return EcgRecord(
        name=reference.name,
        patient=row["patient"].strip() or reference.name,
        digital=digital,
        gain=gain,
        baseline=baseline,
        rate=reference.rate,
        age=age_of(row["age"]),
        sex=sex_of(row["sex"]),
        diagnoses=diagnoses,
        site=reference.site,
        repairs=("unknown-diagnosis",) if unknown else (),
    )


def _check_whole(file: Path, records: int) -> None:
    try:
        shape = np.load(file, mmap_mode="r", allow_pickle=False).shape
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"is not a NumPy array: {error}", where=str(file)) from None
    if len(shape) != 3 or shape[0] != records or shape[2] != len(LEADS):
        raise DataError(
            f"has shape {shape}",
            where=str(file),
            remedy=f"{TABLE} has {records} records: ({records}, samples, 12)",
        )


def _rate(folder: Path) -> float | None:
    path = folder / "source.toml"
    if not path.exists():
        return None
    try:
        return float(tomllib.loads(path.read_text(encoding="utf-8"))["rate"])
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError):
        raise DataError("does not tell the rate", where=str(path), remedy="Write rate = 500") from None


def _row_rate(row: Row, rate: float | None, path: Path) -> float:
    told = row.get("rate", "").strip() or rate
    try:
        return float(told or "")
    except ValueError:
        raise DataError(
            f"record {row['record']} has no rate",
            where=str(path),
            remedy="Write source.toml, or a column rate",
        ) from None
