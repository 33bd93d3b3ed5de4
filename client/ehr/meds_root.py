"""Open a MEDS root and read it with every promise of the format checked."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import meds.schema as meds
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from flexible_schema import SchemaValidationError, TableValidationError

from wardlaw.errors import DataError

SPLITS = (meds.train_split, meds.tuning_split, meds.held_out_split)
BATCH_ROWS = 500_000


@dataclass(frozen=True)
class MedsRoot:
    """A MEDS root whose metadata are in order.

    Attributes
    ----------
    folder : Path
    dataset : dict
        ``dataset.json``; empty where there is none.
    codes : pl.DataFrame
        ``codes.parquet``.
    splits : pl.DataFrame
        ``subject_id`` and ``split``; no rows where the root has no splits.
    schema : pa.Schema
        Of the data: MEDS' columns, then the root's own.
    """

    folder: Path
    dataset: Mapping[str, Any]
    codes: pl.DataFrame
    splits: pl.DataFrame
    schema: pa.Schema

    @property
    def files(self) -> list[Path]:
        """Data files, by path."""
        return data_files(self.folder)

    @property
    def extensions(self) -> list[str]:
        """Columns beyond MEDS' own."""
        return [name for name in self.schema.names if name not in meds.DataSchema.schema().names]


@dataclass
class RootScan:
    """What a pass over the data has seen.

    Attributes
    ----------
    events : int
    values_nulled : int
        Numeric values that were not finite and are given as null.
    subjects : set of int
        Subjects met.
    codes : set of str
        Codes that occur.
    last : tuple, optional
        File, subject and time of the last row.
    """

    events: int = 0
    values_nulled: int = 0
    subjects: set[int] = field(default_factory=set)
    codes: set[str] = field(default_factory=set)
    last: tuple[Path, int, datetime | None] | None = None


def is_meds_root(folder: Path) -> bool:
    """Whether a folder has MEDS data files."""
    return bool(data_files(folder))


def data_files(folder: Path) -> list[Path]:
    """Data files of a root, by path."""
    return sorted((folder / meds.data_subdirectory).rglob("*.parquet"))


def is_synthetic(dataset: Mapping[str, Any]) -> bool:
    """Whether ``dataset.json`` says that its patients are generated, by a key ``synthetic`` or its name."""
    return dataset.get("synthetic") is True or "synthetic" in str(dataset.get("dataset_name", "")).lower()


def open_root(folder: Path) -> MedsRoot:
    """Open a root and check its metadata.

    Raises
    ------
    DataError
        If there are no data, a file is not of its schema, or a subject is in two splits.
    """
    files = data_files(folder)
    if not files:
        raise DataError("no MEDS data", where=str(folder), remedy="A root has data/*.parquet")
    codes = _metadata(folder / meds.code_metadata_filepath, meds.CodeMetadataSchema)
    if codes is None:
        raise DataError(
            "missing", where=str(folder / meds.code_metadata_filepath), remedy="MEDS 0.4 requires it"
        )
    return MedsRoot(
        folder, _dataset(folder), codes, _splits(folder), _aligned(files[0], _empty(files[0])).schema
    )


def checked_batches(root: MedsRoot, scan: RootScan) -> Iterator[pa.Table]:
    """Rows of all files in their order, aligned to ``root.schema`` and checked as they pass.

    Raises
    ------
    DataError
        If a row has no subject or code, a code is not in ``codes.parquet``, a subject's rows
        are not together in one file, or its times go backwards.
    """
    known = set(root.codes["code"])
    for path in root.files:
        for batch in _read(path):
            table = _aligned(path, batch).select(root.schema.names)
            rows = pl.DataFrame(table.select(["subject_id", "time", "code"]))
            _check_codes(rows, known, scan, path)
            _check_order(rows, scan, path)
            _check_together(rows, scan, path)
            scan.events += rows.height
            scan.last = (path, *rows.row(-1)[:2])
            yield _finite(table, scan)


def _check_codes(rows: pl.DataFrame, known: set[str], scan: RootScan, path: Path) -> None:
    present = set(rows["code"].unique())
    if absent := sorted(present - known):
        raise DataError(
            f"{len(absent)} codes, such as {absent[0]!r}, are not in codes.parquet",
            where=str(path),
            remedy="Add every code of the data to metadata/codes.parquet",
        )
    scan.codes |= present


def _check_order(rows: pl.DataFrame, scan: RootScan, path: Path) -> None:
    before = rows.select("subject_id", "time").shift(1)
    if scan.last is not None and scan.last[0] == path:
        before[0, "subject_id"], before[0, "time"] = scan.last[1:]
    earlier = rows["time"].is_null() | (rows["time"] < before["time"])
    same = rows["subject_id"].eq_missing(before["subject_id"])
    if wrong := int((same & before["time"].is_not_null() & earlier).sum()):
        raise DataError(
            f"{wrong} rows go back in time", where=str(path), remedy="Sort each subject's rows by time"
        )


def _check_together(rows: pl.DataFrame, scan: RootScan, path: Path) -> None:
    runs = rows.select(pl.col("subject_id").rle().struct.field("value")).to_series().to_list()
    if scan.last is not None and scan.last[:2] == (path, runs[0]):
        runs = runs[1:]
    if torn := len(runs) - len(set(runs) - scan.subjects):
        raise DataError(
            f"rows of {torn} subjects are not together in one file",
            where=str(path),
            remedy="Keep a subject's rows contiguous in one file",
        )
    scan.subjects.update(runs)


def _finite(table: pa.Table, scan: RootScan) -> pa.Table:
    values = pl.Series(table.column("numeric_value"))
    unfit = ~values.is_finite().fill_null(True)
    if not (count := int(unfit.sum())):
        return table
    scan.values_nulled += count
    clean = values.set(unfit, None).to_arrow()
    return table.set_column(
        table.schema.get_field_index("numeric_value"), table.schema.field("numeric_value"), clean
    )


def _read(path: Path) -> Iterator[pa.Table]:
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH_ROWS):
                yield pa.Table.from_batches([batch])
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"cannot be read: {error}", where=str(path), remedy="Write the file again") from None


def _empty(path: Path) -> pa.Table:
    try:
        return pq.read_schema(path).empty_table()
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"cannot be read: {error}", where=str(path), remedy="Write the file again") from None


def _aligned(path: Path, table: pa.Table) -> pa.Table:
    try:
        aligned = meds.DataSchema.align(table)
    except (SchemaValidationError, TableValidationError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"not MEDS data: {reason}", where=str(path), remedy="See MEDS 0.4's DataSchema"
        ) from None
    absent = [item for item in meds.DataSchema.schema() if item.name not in aligned.schema.names]
    for item in absent:
        aligned = aligned.append_column(item, pa.nulls(aligned.num_rows, item.type))
    return aligned


def _metadata(path: Path, schema: Any) -> pl.DataFrame | None:
    if not path.exists():
        return None
    try:
        return pl.DataFrame(schema.align(pq.read_table(path)))
    except (SchemaValidationError, TableValidationError, OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"not MEDS metadata: {reason}", where=str(path), remedy="See MEDS 0.4's schemas"
        ) from None


def _splits(folder: Path) -> pl.DataFrame:
    path = folder / meds.subject_splits_filepath
    splits = _metadata(path, meds.SubjectSplitSchema)
    if splits is None:
        return pl.DataFrame(schema={"subject_id": pl.Int64, "split": pl.String})
    splits = splits.select("subject_id", "split").unique()
    if doubled := splits.height - splits["subject_id"].n_unique():
        raise DataError(f"{doubled} subjects are in two splits", where=str(path), remedy="Keep each in one")
    if unknown := sorted(set(splits["split"]) - set(SPLITS)):
        raise DataError(f"unknown splits {unknown}", where=str(path), remedy=f"Use {', '.join(SPLITS)}")
    return splits


def _dataset(folder: Path) -> dict[str, Any]:
    path = folder / meds.dataset_metadata_filepath
    if not path.exists():
        return {}
    try:
        dataset: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        meds.DatasetMetadataSchema.validate(dataset)
    except (SchemaValidationError, TableValidationError, OSError, ValueError) as error:
        raise DataError(f"not a MEDS dataset.json: {error}", where=str(path), remedy="See MEDS 0.4") from None
    return dataset
