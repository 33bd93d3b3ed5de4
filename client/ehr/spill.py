"""Events on their way to a MEDS root: parts on disk, each holding some subjects whole."""

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from client.ehr.splits import mix64

FLUSH_ROWS = 1_000_000
EVENT_SCHEMA = pl.Schema(
    [
        ("visit", pl.UInt32()),
        ("time", pl.Datetime("us")),
        ("rank", pl.UInt8()),
        ("code", pl.UInt32()),
        ("numeric_value", pl.Float32()),
        ("text_value", pl.String()),
    ]
)


class Spill:
    """Events divided over ``parts`` files by subject.

    Parameters
    ----------
    folder : Path
    parts : int
        Memory needed to sort is that of the largest part.
    subjects : (visits,) int64
        Subject of each visit.
    """

    def __init__(self, folder: Path, parts: int, subjects: NDArray[np.int64]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self.parts = folder, parts
        self._part_of_visit = (mix64(subjects, 0) % np.uint64(parts)).astype(np.uint16)
        self._waiting: list[pl.DataFrame] = []
        self._rows = 0
        self._writers: dict[int, pa.RecordBatchStreamWriter] = {}

    def add(self, events: pl.DataFrame) -> None:
        """Take events of `EVENT_SCHEMA`."""
        self._waiting.append(events)
        self._rows += events.height
        if self._rows >= FLUSH_ROWS:
            self._flush()

    def close(self) -> None:
        """Write what is left."""
        self._flush()
        for writer in self._writers.values():
            writer.close()

    def read(self, part: int) -> pl.DataFrame:
        """Events of one part, in no order."""
        if part not in self._writers:
            return pl.DataFrame(schema=EVENT_SCHEMA)
        with pa.OSFile(str(self._path(part))) as file:
            frame = pl.from_arrow(pa.ipc.open_stream(file).read_all())
        assert isinstance(frame, pl.DataFrame)
        return frame

    def _flush(self) -> None:
        if not self._rows:
            return
        events = pl.concat(self._waiting)
        self._waiting, self._rows = [], 0
        if self.parts == 1:
            self._write(0, events)
            return
        part = pl.Series("part", self._part_of_visit[events["visit"].to_numpy()])
        for (number,), rows in (
            events.with_columns(part).partition_by("part", as_dict=True, include_key=False).items()
        ):
            self._write(int(number), rows)

    def _write(self, part: int, events: pl.DataFrame) -> None:
        table = events.to_arrow(compat_level=pl.CompatLevel.oldest())
        if part not in self._writers:
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            self._writers[part] = pa.ipc.new_stream(str(self._path(part)), table.schema, options=options)
        self._writers[part].write_table(table)

    def _path(self, part: int) -> Path:
        return self._folder / f"{part:05d}.arrow"
