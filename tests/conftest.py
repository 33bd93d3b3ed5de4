"""Fixtures that every room's tests share."""

import os
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import meds.schema as meds
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

torch.set_num_threads(1)

_BESIDE = Path(__file__).resolve().parents[1].parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real records, or a skip that says where it was looked for."""
    folder = Path(os.environ.get("WARDLAW_DATA", _BESIDE))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder} (set WARDLAW_DATA)")
    return folder


@pytest.fixture(scope="session")
def random_federation(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a new federation folder of sites with random tokens, whose state nobody shares."""

    from simulations.random_federation import write_random_federation

    def make(sites: int = 3, **sizes: int) -> Path:
        return write_random_federation(tmp_path_factory.mktemp("federation"), sites, **sizes)

    return make


@pytest.fixture(scope="session")
def write_meds() -> Callable[..., Path]:
    """Writes a MEDS root from rows ``(subject, time, code, value)`` in their order, and a split a subject."""

    def write(
        folder: Path,
        files: list[list[tuple[int, datetime | None, str, float | None]]],
        splits: Mapping[int, str],
    ) -> Path:
        (folder / "data").mkdir(parents=True)
        (folder / "metadata").mkdir()
        schema = pa.schema(
            {
                "subject_id": pa.int64(),
                "time": pa.timestamp("us"),
                "code": pa.string(),
                "numeric_value": pa.float32(),
            }
        )
        for number, rows in enumerate(files):
            columns: list[Any] = [list(column) for column in zip(*rows, strict=True)] or [[], [], [], []]
            arrays = [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
            pq.write_table(pa.Table.from_arrays(arrays, schema=schema), folder / "data" / f"{number}.parquet")
        codes = sorted({row[2] for rows in files for row in rows})
        pq.write_table(pa.table({"code": pa.array(codes, pa.string())}), folder / meds.code_metadata_filepath)
        subjects = pa.array(list(splits), pa.int64())
        table = pa.table({"subject_id": subjects, "split": pa.array(list(splits.values()), pa.string())})
        pq.write_table(table, folder / meds.subject_splits_filepath)
        (folder / meds.dataset_metadata_filepath).write_text('{"dataset_name": "hand-made"}')
        return folder

    return write
