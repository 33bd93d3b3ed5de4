"""A folder of WFDB records: PhysioNet's databases, the Challenges of 2020 and 2021, CPSC 2018.

Every ``.hea`` at any depth is a record, called by its path from the folder without the suffix, except the
segments of a multi-segment record, which are read as part of it. A signal file that no header names is a
record without a header. The patients' table is a CSV file with columns ``record`` and ``patient``, and more
if they are to tell sites; a record that it does not have is its own patient. Without one every record is:
give one wherever a patient may have several.
"""

from dataclasses import dataclass
from pathlib import Path

from client.ecg.demographics import age_of, comment_fields, diagnoses_of, sex_of
from client.ecg.header import header_text, segments, signal_files
from client.ecg.record import EcgRecord, Quarantined
from client.ecg.sources.table import Row, by_column, check_site_column, rows, site_of
from client.ecg.sources.unreadable import UnreadableError
from client.ecg.sources.wfdb_file import read_signals
from wardlaw.errors import DataError

FOLDER = "folder"
"""Site column that every folder has: the first folder of the record's path."""

_SIGNAL_SUFFIXES = {".mat", ".dat"}


@dataclass(frozen=True)
class WfdbReference:
    """Where to find one record.

    Attributes
    ----------
    name : str
        Path from the source's folder.
    header : Path
    patient, site : str
    """

    name: str
    header: Path
    patient: str
    site: str


def list_wfdb(folder: Path, patients: Path | None = None, site_column: str = "") -> list[WfdbReference]:
    """Records of a folder, in the order of their names.

    Raises
    ------
    ConfigError
        If ``site_column`` is neither ``"folder"`` nor a column of ``patients``.
    DataError
        If there is no record, or the patients' table fits none of them.
    """
    table = by_column(rows(patients, "record", "patient"), "record", patients) if patients else {}
    check_site_column(site_column, [FOLDER, *next(iter(table.values()), {})])
    names = _record_names(folder)
    if not names:
        raise DataError("no WFDB records", where=str(folder), remedy="Give a folder with .hea files")
    if table and not table.keys() & names.keys():
        raise DataError(
            f"names no record of {folder}",
            where=str(patients),
            remedy=f"Records have names like {min(names)}",
        )
    return [_reference(name, names[name], table.get(name, {}), site_column) for name in sorted(names)]


def read_wfdb(reference: WfdbReference) -> EcgRecord | Quarantined:
    """Read one record, with the age, sex and diagnoses of its header's comments."""
    try:
        signals = read_signals(reference.header)
    except UnreadableError as error:
        return error.quarantined(reference.name)
    fields = comment_fields(signals.comments)
    diagnoses, unknown = diagnoses_of(fields.get("dx", "").split(","))
    return EcgRecord(
        name=reference.name,
        patient=reference.patient,
        digital=signals.digital,
        gain=signals.gain,
        baseline=signals.baseline,
        rate=signals.rate,
        age=age_of(fields.get("age", "")),
        sex=sex_of(fields.get("sex", "")),
        diagnoses=diagnoses,
        site=reference.site,
        repairs=signals.repairs + (("unknown-diagnosis",) if unknown else ()),
    )


def _record_names(folder: Path) -> dict[str, Path]:
    """Header of each record by the record's name; for a signal without a header, where that should be."""
    headers = set(folder.rglob("*.hea"))
    wholes: set[Path] = set()
    parts: set[Path] = set()
    signals: set[Path] = set()
    for header in headers:
        text = _text(header)
        if names := segments(text):
            wholes.add(header)
            parts.update(header.parent / f"{name}.hea" for name in names)
        signals.update(header.parent / name for name in signal_files(text))
    files = {file for file in folder.rglob("*") if file.suffix in _SIGNAL_SUFFIXES}
    bare = {file for file in files - signals if file.with_suffix(".hea") not in headers}
    named = {_name(header, folder): header for header in headers - (parts - wholes)}
    return named | {file.relative_to(folder).as_posix(): file.with_suffix(".hea") for file in bare}


def _reference(name: str, header: Path, row: Row, site_column: str) -> WfdbReference:
    top = name.split("/")[0] if "/" in name else ""
    site = site_of({FOLDER: top} | row, site_column)
    return WfdbReference(name, header, row.get("patient", "").strip() or name, site)


def _text(header: Path) -> str:
    """Text of a header; nothing if it cannot be read, which is told when its record is."""
    try:
        return header_text(header)
    except OSError:
        return ""


def _name(header: Path, folder: Path) -> str:
    return header.relative_to(folder).with_suffix("").as_posix()
