"""PTB-XL: ``ptbxl_database.csv`` and the WFDB records it names (Wagner et al., Sci Data 7:154, 2020).

The records at 500 Hz are read where they are there, those at 100 Hz otherwise. Statements of any likelihood
count, as in the Challenge's edition of the same records; those not in ``STATEMENTS`` have no class there and
are left out. A record of the folder that the table does not have is quarantined as ``not-in-table``.
"""

import ast
import math
from dataclasses import dataclass
from pathlib import Path

from client.ecg.demographics import age_of
from client.ecg.record import EcgRecord, Quarantined
from client.ecg.sources.table import Row, by_column, check_site_column, refuse_patients, rows, site_of
from client.ecg.sources.unreadable import UnreadableError
from client.ecg.sources.wfdb_file import read_signals
from wardlaw.errors import DataError

TABLE = "ptbxl_database.csv"

STATEMENTS = {
    "NORM": "426783006",
    "SR": "426783006",
    "AFIB": "164889003",
    "AFLT": "164890007",
    "STACH": "427084000",
    "SBRAD": "426177001",
    "SARRH": "427393009",
    "SVARR": "63593006",
    "PACE": "10370003",
    "1AVB": "270492004",
    "CLBBB": "164909002",
    "ILBBB": "251120003",
    "CRBBB": "713427006",
    "IRBBB": "713426002",
    "LAFB": "445118002",
    "IVCD": "698252002",
    "PAC": "284470004",
    "PVC": "164884008",
    "LPR": "164947007",
    "QWAVE": "164917005",
    "LNGQT": "111975006",
    "LVOLT": "251146004",
    "INVT": "59931005",
    "NDT": "164934002",
    "TAB_": "164934002",
    "LOWT": "164934002",
    "NT_": "164934002",
}
"""SNOMED CT codes that the PhysioNet/CinC Challenge gave PTB-XL's SCP-ECG statements.

A test holds 22 of them against the Challenge's labels of 21,604 records: each record with the statement has
the code. ``1AVB``, ``LAFB``, ``IVCD``, ``ILBBB`` and ``PVC`` go by the Challenge's counts, which are those of
the statements; of these the last two are not scored.
"""

AXES = {"LAD": "39732003", "ALAD": "39732003", "RAD": "47665007", "ARAD": "47665007"}
"""Codes of the column ``heart_axis`` that are axis deviations, extreme ones too."""

_SEXES = {"0": "male", "1": "female"}
_OVER_89, _AGE_OVER_89 = 300.0, 90.0


@dataclass(frozen=True)
class PtbXlReference:
    """A record's file and its row of the table; no row where the table does not have it."""

    name: str
    header: Path
    row: tuple[tuple[str, str], ...]
    site: str


def list_ptb_xl(folder: Path, patients: Path | None = None, site_column: str = "") -> list[PtbXlReference]:
    """Records of the table in its order, then those of the folder that it does not have.

    Raises
    ------
    ConfigError
        If ``site_column`` is not in the table, or there is a table of patients.
    DataError
        If the table cannot be read, or none of its records is there.
    """
    refuse_patients(patients, TABLE)
    path = folder / TABLE
    table = by_column(rows(path, *_COLUMNS, "filename_hr", "filename_lr"), "ecg_id", path)
    check_site_column(site_column, list(next(iter(table.values()), {})))
    column = _rate_column(folder, table)
    named = {folder / f"{row[column]}.hea": row for row in table.values()}
    listed = [
        PtbXlReference(
            header.stem, header, tuple((key, row[key]) for key in _COLUMNS), site_of(row, site_column)
        )
        for header, row in named.items()
    ]
    tops = {folder / Path(row[column]).parts[0] for row in table.values()}
    there = {header for top in sorted(tops) for header in top.rglob("*.hea")}
    unlisted = sorted(there - named.keys())
    return listed + [PtbXlReference(header.stem, header, (), "") for header in unlisted]


def read_ptb_xl(reference: PtbXlReference) -> EcgRecord | Quarantined:
    """Read one record."""
    if not reference.row:
        return Quarantined(reference.name, "not-in-table", f"{TABLE} has no row for it")
    row = dict(reference.row)
    try:
        signals = read_signals(reference.header)
        diagnoses = _diagnoses(row)
    except UnreadableError as error:
        return error.quarantined(reference.name)
    return EcgRecord(
        name=reference.name,
        patient=_whole(row["patient_id"]) or reference.name,
        digital=signals.digital,
        gain=signals.gain,
        baseline=signals.baseline,
        rate=signals.rate,
        age=_age(row["age"]),
        sex=_SEXES.get(_whole(row["sex"]), ""),
        diagnoses=diagnoses,
        fold=int(_whole(row["strat_fold"]) or 0),
        site=reference.site,
        repairs=signals.repairs,
    )


_COLUMNS = ("ecg_id", "patient_id", "age", "sex", "scp_codes", "heart_axis", "strat_fold")


def _rate_column(folder: Path, table: dict[str, Row]) -> str:
    for column in ("filename_hr", "filename_lr"):
        if any((folder / f"{row[column]}.hea").is_file() for row in table.values()):
            return column
    raise DataError(
        f"no record of {TABLE} is there", where=str(folder), remedy="Download records500 or records100"
    )


def _diagnoses(row: Row) -> tuple[str, ...]:
    try:
        statements = list(ast.literal_eval(row["scp_codes"]))
    except (ValueError, SyntaxError, TypeError):
        raise UnreadableError("bad-row", f"scp_codes is not a dictionary: {row['scp_codes'][:40]}") from None
    codes = [STATEMENTS.get(statement, "") for statement in statements] + [
        AXES.get(row["heart_axis"].strip(), "")
    ]
    return tuple(dict.fromkeys(filter(None, codes)))


def _age(text: str) -> float:
    """Age in years; PTB-XL writes 300 for all who are older than 89, and they are 90 here."""
    return _AGE_OVER_89 if text.strip() and math.isclose(_number(text), _OVER_89) else age_of(text)


def _whole(text: str) -> str:
    """A whole number that a table may have written as ``15709.0``; empty if it is none."""
    number = _number(text)
    return str(int(number)) if number.is_integer() else ""


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
