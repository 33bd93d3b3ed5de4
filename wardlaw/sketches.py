"""What a site says about its codes and values, and how sites' answers are merged.

A site's ``SiteSketch`` counts patients per unit and gives each code's values as cells:
a value that stands for those of many patients. ``client.ehr.summarise`` makes it and
says what it may hold. The server merges cells into one KLL sketch a code (Karnin, Lang
and Liberty, FOCS 2016; Apache DataSketches), so that its memory does not grow with sites.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pyarrow as pa
from datasketches import kll_floats_sketch
from numpy.typing import NDArray

from wardlaw.errors import AdmissionError
from wardlaw.vocabulary import Scheme
from wardlaw.vocabulary.hierarchy import is_reserved

FORMAT = b"wardlaw-sketch-1"
VALUES_PER_ITEM = 10
"""Values that one item of a KLL sketch stands for; not above any site's floor."""
KLL_K = 32_768
"""Items up to which a sketch is exact (327,680 values over all sites); beyond, see ``RANK_ERROR``."""
RANK_ERROR: float = kll_floats_sketch.get_normalized_rank_error(KLL_K, False)
"""Error of a rank as a fraction, at 99 % confidence: 0.0001. KLL draws coins that cannot be
seeded, hence two fits of more than ``KLL_K`` items may differ by that much."""

_SCHEMA = pa.schema(
    {
        "name": pa.string(),
        "patients": pa.int64(),
        "events": pa.int64(),
        "values": pa.list_(pa.float32()),
        "items": pa.list_(pa.int64()),
    }
)
_MAXIMUM_BYTES = 2**28
_MAXIMUM_NAME = 1_000
_MAXIMUM_COUNT = 10**12
_MAXIMUM_ITEMS = 2**27


@dataclass(frozen=True)
class Counts:
    """Patients and events of a unit."""

    patients: int
    events: int


@dataclass(frozen=True, eq=False)
class Cells:
    """A code's values, coarsened.

    Attributes
    ----------
    values : ndarray of float32, (cells,)
        Ascending; each stands for the values of a cell.
    items : ndarray of int64, (cells,)
        How many times ``VALUES_PER_ITEM`` values the cell has, at least 1.
    """

    values: NDArray[np.float32]
    items: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SiteSketch:
    """All that leaves a site for a vocabulary.

    Attributes
    ----------
    scheme : {"ethos", "fused"}
        Whose units are counted.
    units : mapping of str to Counts
        Units (see ``wardlaw.vocabulary.hierarchy``).
    values : mapping of str to Cells
        Whole codes with numeric values.
    """

    scheme: Scheme
    units: Mapping[str, Counts]
    values: Mapping[str, Cells]

    def to_bytes(self) -> bytes:
        """Arrow IPC stream, rows by name."""
        names = sorted(self.units.keys() | self.values.keys())
        counts = [self.units.get(name) for name in names]
        cells = [self.values.get(name) for name in names]
        columns = [
            names,
            [count and count.patients for count in counts],
            [count and count.events for count in counts],
            [cell and cell.values for cell in cells],
            [cell and cell.items for cell in cells],
        ]
        arrays = [pa.array(column, kind) for column, kind in zip(columns, _SCHEMA.types, strict=True)]
        schema = _SCHEMA.with_metadata({"format": FORMAT, "scheme": self.scheme})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, schema) as writer:
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
        return cast("bytes", sink.getvalue().to_pybytes())

    @classmethod
    def from_bytes(cls, content: bytes, *, site: str, scheme: Scheme) -> "SiteSketch":
        """Read what a site sent, which is not to be trusted.

        Parameters
        ----------
        content : bytes
        site : str
            Whose it is, for the error.
        scheme : {"ethos", "fused"}
            Whose units it must count.

        Raises
        ------
        AdmissionError
            If it is not a sketch of this scheme, or its names or numbers cannot be.
        """
        try:
            table = _read(content, scheme)
            names = table["name"].to_pylist()
            _require(len(set(names)) == len(names), "a name comes twice")
            _require(all(map(_is_name, names)), "a name cannot be a unit's")
            return cls(scheme, _read_units(names, table), _read_values(names, table))
        except (pa.ArrowException, OSError, ValueError, MemoryError, TypeError) as error:
            what = f"the sketch cannot be read: {error}"
            raise AdmissionError(what, where=site, remedy="Update the site's Wardlaw") from None


@dataclass(frozen=True, eq=False)
class MergedSketch:
    """Sites' sketches together.

    Attributes
    ----------
    scheme : {"ethos", "fused"}
    units : dict of str to Counts
        Sums over sites; a patient of two sites counts twice.
    values : dict of str to kll_floats_sketch
    """

    scheme: Scheme
    units: dict[str, Counts] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)

    def quantiles(self, code: str, ranks: list[float]) -> list[float]:
        """Smallest values whose inclusive rank reaches each of ``ranks``, within ``RANK_ERROR``."""
        return cast("list[float]", self.values[code].get_quantiles(ranks, True))

    def maximum(self, code: str) -> float:
        """Value of the uppermost cell of any site."""
        return cast("float", self.values[code].get_max_value())


def merge(sketches: Iterable[SiteSketch], scheme: Scheme) -> MergedSketch:
    """Merge sites' sketches, one at a time in the order given.

    Parameters
    ----------
    sketches : iterable of SiteSketch
        In the order of site names, so that a fit can be repeated.
    scheme : {"ethos", "fused"}

    Raises
    ------
    ValueError
        If a sketch counts another scheme's units.
    """
    merged = MergedSketch(scheme)
    for sketch in sketches:
        if sketch.scheme != scheme:
            raise ValueError(f"a sketch of scheme {sketch.scheme} is not one of {scheme}")
        for unit, counts in sketch.units.items():
            sofar = merged.units.get(unit, Counts(0, 0))
            merged.units[unit] = Counts(sofar.patients + counts.patients, sofar.events + counts.events)
        for code, cells in sketch.values.items():
            kll = merged.values.setdefault(code, kll_floats_sketch(KLL_K))
            for value, items in zip(cells.values, cells.items, strict=True):
                kll.update(np.full(items, value, dtype=np.float32))
    return merged


def _read(content: bytes, scheme: Scheme) -> pa.Table:
    _require(len(content) <= _MAXIMUM_BYTES, f"it is larger than {_MAXIMUM_BYTES} bytes")
    with pa.ipc.open_stream(content) as reader:
        schema = reader.schema
        _require(schema.remove_metadata().equals(_SCHEMA), "its columns are not a sketch's")
        metadata = schema.metadata or {}
        _require(metadata.get(b"format") == FORMAT, "it is of another format")
        _require(metadata.get(b"scheme") == scheme.encode(), f"it is not of scheme {scheme}")
        table = reader.read_all()
    table.validate(full=True)
    return table


def _is_name(name: str | None) -> bool:
    return bool(name) and len(name or "") <= _MAXIMUM_NAME and not is_reserved(name or "")


def _read_units(names: list[str], table: pa.Table) -> dict[str, Counts]:
    units = {}
    for name, patients, events in zip(
        names, table["patients"].to_pylist(), table["events"].to_pylist(), strict=True
    ):
        _require((patients is None) == (events is None), f"{name} has half its counts")
        if patients is not None:
            _require(0 < patients <= _MAXIMUM_COUNT and 0 < events <= _MAXIMUM_COUNT, f"{name}'s counts")
            units[name] = Counts(patients, events)
    return units


def _read_values(names: list[str], table: pa.Table) -> dict[str, Cells]:
    found = {}
    for name, values, items in zip(names, table["values"], table["items"], strict=True):
        _require(values.is_valid == items.is_valid, f"{name} has half its cells")
        if values.is_valid:
            cells = Cells(values.values.to_numpy(), items.values.to_numpy())
            _require(len(cells.values) == len(cells.items) > 0, f"{name} has half its cells")
            _require(bool(np.isfinite(cells.values).all()), f"{name} has a value that is not finite")
            _require(bool((np.diff(cells.values) >= 0).all()), f"{name}'s values do not ascend")
            _require(bool((cells.items > 0).all()), f"{name} has an empty cell")
            _require(float(cells.items.sum(dtype=np.float64)) <= _MAXIMUM_ITEMS, f"{name} has too many items")
            found[name] = cells
    return found


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(what)
