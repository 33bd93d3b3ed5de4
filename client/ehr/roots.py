"""Write MEDS 0.4 roots: data files, codes, splits and the dataset's description."""

import base64
import json
from collections.abc import Mapping
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

from client.ehr.splits import splits_of
from wardlaw import __version__
from wardlaw.files import write_atomically, write_text_atomically

ETL_NAME = "wardlaw"
EXTRACTION_FILE = Path("metadata") / "extraction.json"


@dataclass
class RootWriter:
    """One MEDS root in the making.

    Attributes
    ----------
    folder : Path
    extensions : tuple of str
        Names of the string columns beyond the MEDS schema.
    events : int
        Rows written.
    subjects : list of (n,) int64
        Subjects of each data file.
    codes : set of int
        Numbers of the codes that occur.
    """

    folder: Path
    extensions: tuple[str, ...] = ()
    events: int = 0
    subjects: list[NDArray[np.int64]] = field(default_factory=list)
    codes: set[int] = field(default_factory=set)

    def write_part(self, name: str, events: pl.DataFrame, codes: NDArray[np.object_]) -> None:
        """Write one data file.

        Parameters
        ----------
        name : str
            File name without ending.
        events : pl.DataFrame
            Sorted rows ``subject_id, time, code`` (a number), ``numeric_value, text_value`` and extensions.
        codes : (codes,) str
            Code of each number.
        """
        numbers = events["code"].to_numpy()
        present = np.flatnonzero(np.bincount(numbers, minlength=len(codes)))
        place = np.zeros(len(codes), dtype=np.int32)
        place[present] = np.arange(len(present), dtype=np.int32)
        dictionary = pa.DictionaryArray.from_arrays(
            pa.array(place[numbers]), pa.array(codes[present], pa.string())
        )
        plain = data_schema(self.extensions)
        columns: dict[str, Any] = {
            "subject_id": _plain(events["subject_id"]),
            "time": _plain(events["time"]),
            "code": dictionary,
            "numeric_value": _plain(events["numeric_value"]),
            "text_value": _plain(events["text_value"]).cast(pa.large_string()),
            **{name: _plain(events[name]).cast(pa.string()).dictionary_encode() for name in self.extensions},
        }
        write_data(self.folder / meds.data_subdirectory / f"{name}.parquet", pa.table(columns), plain)
        self.events += events.height
        self.subjects.append(events["subject_id"].unique().sort().to_numpy())
        self.codes.update(present.tolist())

    def subject_ids(self) -> NDArray[np.int64]:
        """All subjects, ascending."""
        return np.sort(np.concatenate(self.subjects)) if self.subjects else np.empty(0, dtype=np.int64)


def data_schema(extensions: tuple[str, ...]) -> pa.Schema:
    """MEDS' data schema with all optional columns, and string extensions."""
    return pa.schema([*meds.DataSchema.schema(), *(pa.field(name, pa.string()) for name in extensions)])


def write_data(path: Path, table: pa.Table, schema: pa.Schema) -> None:
    """Write dictionary-encoded columns so that readers see them as plain strings.

    Parquet keeps the dictionary; the Arrow schema noted beside it is the plain one.
    """
    noted = base64.b64encode(schema.serialize().to_pybytes()).decode()

    def write(temporary: Path) -> None:
        with pq.ParquetWriter(
            temporary, table.schema, store_schema=False, compression="zstd", compression_level=1
        ) as writer:
            writer.write_table(table)
            writer.add_key_value_metadata({"ARROW:schema": noted})

    write_atomically(path, write)


def write_codes(folder: Path, codes: pl.DataFrame) -> None:
    """Write ``codes.parquet`` from columns code, description, parent_codes, by code."""
    table = codes.sort("code").to_arrow(compat_level=pl.CompatLevel.oldest())
    aligned = meds.CodeMetadataSchema.align(table.cast(_string_schema(table.schema)))
    write_atomically(folder / meds.code_metadata_filepath, lambda path: pq.write_table(aligned, path))


def write_splits(folder: Path, subjects: NDArray[np.int64], splits: NDArray[np.str_]) -> None:
    """Write ``subject_splits.parquet``."""
    table = pa.table(
        {"subject_id": pa.array(subjects, pa.int64()), "split": pa.array(splits.tolist(), pa.string())}
    )
    write_atomically(
        folder / meds.subject_splits_filepath,
        lambda path: pq.write_table(meds.SubjectSplitSchema.align(table), path),
    )


def hashed_splits(folder: Path, subjects: NDArray[np.int64], seed: int) -> None:
    """Write the splits that the subjects' ids give."""
    write_splits(folder, subjects, splits_of(subjects, seed))


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
    write_text_atomically(folder / meds.dataset_metadata_filepath, json.dumps(dataset, indent=2) + "\n")
    write_text_atomically(folder / EXTRACTION_FILE, json.dumps(extraction, indent=2) + "\n")


def _plain(column: pl.Series) -> pa.Array:
    return column.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())


def _string_schema(schema: pa.Schema) -> pa.Schema:
    types = {pa.large_string(): pa.string(), pa.large_list(pa.large_string()): pa.list_(pa.string())}
    return pa.schema([pa.field(item.name, types.get(item.type, item.type)) for item in schema])
