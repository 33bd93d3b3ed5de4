"""MEDS data files as arrays: patients and their events in order."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import meds.schema as meds
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from client.ehr.meds_root import MedsRoot
from wardlaw.errors import DataError

BIRTH = meds.birth_code
_TYPES = {"subject_id": pa.int64(), "time": pa.timestamp("us"), "numeric_value": pa.float32()}
_MINUTE = 60_000_000
_YEAR = 365.25 * 24 * 60 * _MINUTE
_STATIC, _BORN = np.iinfo(np.int64).min, np.iinfo(np.int64).min + 1
"""Sort keys of what has no place in time: rows without time, then births."""


@dataclass(frozen=True, eq=False)
class Timelines:
    """Events of whole patients.

    A patient's rows without time come first, then birth, then the rest by time. Rows of
    one time keep the order of the file, which the extractor chose.

    Attributes
    ----------
    subject_ids : ndarray of int64, (patients,)
        Ascending.
    events : ndarray of int64, (patients,)
        Number of each patient's events.
    origin : ndarray of datetime64[us], (patients,)
        First time other than birth; birth if there is no other, 1970 if there is neither.
    names : list of str
        Codes by number.
    codes : ndarray of int64, (events,)
    minutes : ndarray of int64, (events,)
        Whole minutes since ``origin``; 0 for what has no place in time.
    values : ndarray of float32, (events,)
        NaN where there is none; at birth the age at ``origin`` in years.
    """

    subject_ids: NDArray[np.int64]
    events: NDArray[np.int64]
    origin: NDArray[np.datetime64]
    names: list[str]
    codes: NDArray[np.int64]
    minutes: NDArray[np.int64]
    values: NDArray[np.float32]

    def of(self, subjects: NDArray[np.int64]) -> "Timelines":
        """Timelines of those patients who are among ``subjects``."""
        kept = np.isin(self.subject_ids, subjects)
        rows = np.repeat(kept, self.events)
        return Timelines(
            self.subject_ids[kept],
            self.events[kept],
            self.origin[kept],
            self.names,
            self.codes[rows],
            self.minutes[rows],
            self.values[rows],
        )

    def owners(self) -> NDArray[np.int64]:
        """Place of each event's patient in ``subject_ids``."""
        return np.repeat(np.arange(len(self.subject_ids)), self.events)


def read_timelines(root: MedsRoot) -> Iterator[tuple[Path, Timelines]]:
    """Timelines of each data file, by path.

    Raises
    ------
    DataError
        If a file cannot be read or lacks a column, a code is absent from
        ``codes.parquet``, or a subject is in two files.
    """
    known = frozenset(root.codes["code"])
    seen = np.empty(0, dtype=np.int64)
    for path in root.files:
        found = _timelines(_read_events(path, known))
        if (twice := np.intersect1d(seen, found.subject_ids, assume_unique=True)).size:
            raise DataError(
                f"subject {twice[0]} is also in another data file",
                where=str(path),
                remedy="Keep a subject's rows in one file",
            )
        seen = np.concatenate([seen, found.subject_ids])
        yield path, found


def split_subjects(root: MedsRoot, split: str) -> NDArray[np.int64]:
    """Subjects of a split."""
    return root.splits.filter(pl.col("split") == split)["subject_id"].to_numpy()


def _read_events(path: Path, known: frozenset[str]) -> pa.Table:
    """Columns of a data file, codes as numbers; ``checked_batches`` is the slower way that checks all."""
    try:
        with pq.ParquetFile(path, read_dictionary=["code"]) as file:
            present = set(file.schema_arrow.names)
            required = ["subject_id", "time", "code"]
            if missing := [name for name in required if name not in present]:
                raise DataError(f"no column {', '.join(missing)}", where=str(path), remedy="Is it MEDS 0.4?")
            table = file.read([*required, *({"numeric_value"} & present)])
    except (OSError, pa.ArrowException) as error:
        what = f"not a whole Parquet file ({type(error).__name__})"
        raise DataError(what, where=str(path), remedy="Write the file again") from None
    for name in _TYPES.keys() & present:
        table = _cast(table, name, path)
    for name in ("subject_id", "code"):
        if table[name].null_count:
            raise DataError(f"{table[name].null_count} rows without {name}", where=str(path))
    table = table.combine_chunks().unify_dictionaries()
    if unknown := sorted(set(_dictionary(table["code"]).dictionary.to_pylist()) - known):
        raise DataError(
            f"{len(unknown)} codes, such as {unknown[0]!r}, are not in codes.parquet",
            where=str(path),
            remedy="Add every code of the data to metadata/codes.parquet",
        )
    return table


def _cast(table: pa.Table, name: str, path: Path) -> pa.Table:
    try:
        column = table[name].cast(_TYPES[name])
    except pa.ArrowException:
        what = f"{name} is {table[name].type} and cannot be {_TYPES[name]}"
        raise DataError(what, where=str(path), remedy="See MEDS 0.4's DataSchema") from None
    return table.set_column(table.schema.get_field_index(name), name, column)


def _dictionary(column: pa.ChunkedArray) -> pa.DictionaryArray:
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _timelines(table: pa.Table) -> Timelines:
    subjects = table["subject_id"].to_numpy()
    encoded = _dictionary(table["code"])
    names = encoded.dictionary.to_pylist()
    codes = encoded.indices.to_numpy().astype(np.int64)
    born = codes == (names.index(BIRTH) if BIRTH in names else -1)
    times = table["time"].cast(pa.int64())
    is_static = times.is_null().to_numpy()
    key = np.where(born, _BORN, times.fill_null(0).to_numpy())
    key[is_static] = _STATIC
    when = np.where(is_static, _STATIC, times.fill_null(0).to_numpy())
    values = _values(table)
    if not _is_sorted(subjects, key):
        order = np.lexsort((key, subjects))
        subjects, codes, key, when, values, born = (
            column[order] for column in (subjects, codes, key, when, values, born)
        )
    starts = np.flatnonzero(np.diff(subjects, prepend=subjects[:1] - 1))
    events = np.diff(starts, append=len(subjects))
    return _relative(subjects[starts], events, starts, names, codes, key, when, values, born)


def _relative(
    subject_ids: NDArray[np.int64],
    events: NDArray[np.int64],
    starts: NDArray[np.int64],
    names: list[str],
    codes: NDArray[np.int64],
    key: NDArray[np.int64],
    when: NDArray[np.int64],
    values: NDArray[np.float32],
    born: NDArray[np.bool_],
) -> Timelines:
    """Count times from each patient's first, and write ages at birth."""
    latest = np.iinfo(np.int64).max
    is_timed = key > _BORN
    empty = len(starts) == 0
    first = starts if empty else np.minimum.reduceat(np.where(is_timed, key, latest), starts)
    birth = starts if empty else np.minimum.reduceat(np.where(born & (when > _STATIC), when, latest), starts)
    origin = np.where(first < latest, first, np.where(birth < latest, birth, 0))
    minutes = np.where(is_timed, (key - np.repeat(origin, events)) // _MINUTE, 0)
    ages = (np.repeat(origin, events)[born] - when[born]) / _YEAR
    values[born] = np.where(when[born] > _STATIC, ages, np.nan)
    return Timelines(subject_ids, events, origin.view("datetime64[us]"), names, codes, minutes, values)


def _values(table: pa.Table) -> NDArray[np.float32]:
    """Numeric values as a fresh array; NaN where null, absent or not finite."""
    if "numeric_value" not in table.column_names:
        return np.full(table.num_rows, np.nan, dtype=np.float32)
    values = np.array(table["numeric_value"].to_numpy(), dtype=np.float32)
    values[~np.isfinite(values)] = np.nan
    return values


def _is_sorted(subjects: NDArray[np.int64], key: NDArray[np.int64]) -> bool:
    later = subjects[1:] > subjects[:-1]
    return bool((later | ((subjects[1:] == subjects[:-1]) & (key[1:] >= key[:-1]))).all())
