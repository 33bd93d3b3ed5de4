"""Write MEDS 0.4 roots: data files, codes, splits and the dataset's description."""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import meds.schema as meds
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from client.ehr.labels import Labels, dictionary
from wardlaw import __version__
from wardlaw.files import write_text_atomically

ETL_NAME = "wardlaw"
EXTRACTION_FILE = Path("metadata") / "extraction.json"


@dataclass
class RootWriter:
    """One MEDS root in the making.

    Attributes
    ----------
    folder : Path
    extensions : dict of str to Labels
        String columns beyond the MEDS schema, by visit.
    events : int
        Rows written.
    subjects : list of (n,) int64
        Subjects of each data file.
    codes : set of str
        Codes that occur.
    """

    folder: Path
    extensions: Mapping[str, Labels] = field(default_factory=dict)
    events: int = 0
    subjects: list[NDArray[np.int64]] = field(default_factory=list)
    codes: set[str] = field(default_factory=set)

    def write_part(self, name: str, events: pl.DataFrame, codes: Sequence[str]) -> None:
        """Write one data file.

        Parameters
        ----------
        name : str
            File name without ending.
        events : pl.DataFrame
            Sorted rows ``subject_id, time, code`` (a number), ``numeric_value, text_value, visit``.
        codes : list of str
            Code of each number, in alphabetical order.
        """
        visit, numbers = events["visit"].to_numpy(), events["code"].to_numpy()
        columns: dict[str, Any] = {
            "subject_id": _plain(events["subject_id"]),
            "time": _plain(events["time"]),
            "code": dictionary(numbers, codes),
            "numeric_value": _plain(events["numeric_value"]),
            "text_value": _plain(events["text_value"]).cast(pa.large_string()),
            **{
                name: dictionary(column.numbers[visit], column.names)
                for name, column in self.extensions.items()
            },
        }
        plain = data_schema(self.extensions)
        write_data(self.folder / meds.data_subdirectory / f"{name}.parquet", pa.table(columns), plain)
        self.events += events.height
        self.subjects.append(events["subject_id"].unique().sort().to_numpy())
        self.codes.update(code.as_py() for code in columns["code"].dictionary)

    def subject_ids(self) -> NDArray[np.int64]:
        """All subjects, ascending."""
        return np.sort(np.concatenate(self.subjects)) if self.subjects else np.empty(0, dtype=np.int64)


def data_schema(extensions: Iterable[str]) -> pa.Schema:
    """MEDS' data schema with all optional columns, and string extensions."""
    return pa.schema([*meds.DataSchema.schema(), *(pa.field(name, pa.string()) for name in extensions)])


def write_data(path: Path, table: pa.Table, schema: pa.Schema) -> None:
    """Write dictionary-encoded columns so that readers see them as plain strings.

    Parquet keeps the dictionary; the Arrow schema noted beside it is the plain one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    noted = base64.b64encode(schema.serialize().to_pybytes()).decode()
    repeating = [name for name in table.schema.names if name not in ("subject_id", "time", "text_value")]
    with pq.ParquetWriter(
        path, table.schema, store_schema=False, compression="lz4", use_dictionary=repeating
    ) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({"ARROW:schema": noted})


def write_codes(folder: Path, codes: pl.DataFrame) -> None:
    """Write ``codes.parquet`` from columns code, description, parent_codes and others, by code."""
    table = codes.sort("code").to_arrow(compat_level=pl.CompatLevel.oldest())
    _write(folder / meds.code_metadata_filepath, meds.CodeMetadataSchema.align(table))


def write_splits(folder: Path, subjects: NDArray[np.int64], splits: NDArray[np.str_]) -> None:
    """Write ``subject_splits.parquet``."""
    columns = {"subject_id": pa.array(subjects, pa.int64()), "split": pa.array(splits.tolist(), pa.string())}
    _write(folder / meds.subject_splits_filepath, meds.SubjectSplitSchema.align(pa.table(columns)))


def write_dataset(folder: Path, described: Mapping[str, Any], extraction: Mapping[str, Any]) -> None:
    """Write ``dataset.json``, and ``extraction.json`` beside it."""
    dataset = {
        **described,
        "etl_name": ETL_NAME,
        "etl_version": __version__,
        "meds_version": metadata.version("meds"),
        "created_at": datetime.now(UTC).isoformat(),
    }
    meds.DatasetMetadataSchema.validate(dataset)
    for path, content in ((meds.dataset_metadata_filepath, dataset), (EXTRACTION_FILE, extraction)):
        write_text_atomically(folder / path, json.dumps(content, indent=2) + "\n")


def _write(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def _plain(column: pl.Series) -> pa.Array:
    return column.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
