"""Parts: what some records of a source became, one Arrow file each, until all are known.

Splits and duplicates need all records, and signals do not fit memory: so records are prepared
part by part, and the shard is put together from the parts. A row is a record that was taken, or one
that was not and has a reason.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from client.ecg.prepare import Prepared
from client.ecg.record import LEADS, Quarantined
from wardlaw.files import write_atomically

_FLOATS = pa.list_(pa.float32(), len(LEADS))
_SCHEMA = pa.schema(
    {
        "record": pa.string(),
        "reason": pa.string(),
        "detail": pa.string(),
        "patient": pa.string(),
        "site": pa.string(),
        "fold": pa.int8(),
        "age": pa.float32(),
        "sex": pa.string(),
        "diagnoses": pa.list_(pa.string()),
        "repairs": pa.list_(pa.string()),
        "digest": pa.string(),
        "gain": _FLOATS,
        "baseline": _FLOATS,
        "samples": pa.int64(),
        "signal": pa.large_binary(),
    }
)


def write_part(path: Path, items: Iterable[tuple[str, Prepared | Quarantined]]) -> None:
    """Write a part, whole or not at all: the site of each record, and what became of it."""
    table = pa.Table.from_pylist([{"site": site, **_row(item)} for site, item in items], schema=_SCHEMA)

    def write(temporary: Path) -> None:
        with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, _SCHEMA) as writer:
            writer.write_table(table.combine_chunks())

    write_atomically(path, write)


class Parts:
    """Parts that are read together.

    Attributes
    ----------
    rows : DataFrame
        All columns but the signals, and ``row``, by which a signal is found.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        tables = [pa.ipc.open_file(pa.memory_map(str(path))).read_all() for path in sorted(paths)]
        table = pa.concat_tables([_SCHEMA.empty_table(), *tables])
        self._signals = table["signal"]
        rows = pl.from_arrow(table.drop_columns("signal"))
        assert isinstance(rows, pl.DataFrame)
        self.rows = rows.with_row_index("row")

    def signal(self, row: int) -> NDArray[np.int16]:
        """Integers of a record, (samples, 12)."""
        return np.frombuffer(self._signals[row].as_buffer(), "<i2").reshape(-1, len(LEADS))


def _row(item: Prepared | Quarantined) -> dict[str, object]:
    if isinstance(item, Quarantined):
        return {"record": item.name, "reason": item.reason, "detail": item.detail}
    record = item.record
    return {
        "record": record.name,
        "patient": record.patient,
        "fold": record.fold,
        "age": record.age,
        "sex": record.sex,
        "diagnoses": record.diagnoses,
        "repairs": record.repairs,
        "digest": item.digest,
        "gain": item.signal.gain,
        "baseline": item.signal.baseline,
        "samples": len(item.signal.digital),
        "signal": np.ascontiguousarray(item.signal.digital, "<i2").tobytes(),
    }
