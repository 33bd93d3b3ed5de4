"""Sources of ECG records by name.

A source lists references to its records, quickly and in an order that is the same each time, and reads one
of them at a time: references can be sent to other processes, and reading never raises for a bad record.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client.ecg.record import EcgRecord, Quarantined
from client.ecg.sources.array import list_array, read_array
from client.ecg.sources.code15 import list_code15, read_code15
from client.ecg.sources.ptb_xl import list_ptb_xl, read_ptb_xl
from client.ecg.sources.synthetic import list_synthetic, read_synthetic
from client.ecg.sources.wfdb import list_wfdb, read_wfdb


@dataclass(frozen=True)
class Source:
    """How to list and read one kind of source.

    Attributes
    ----------
    list : callable
        Of the folder, the patients' table (or None) and the column that divides into sites (or ""); gives
        references, each with a ``name``. Raises ConfigError or DataError if the source as a whole is wrong.
    read : callable
        Of one reference.
    synthetic : bool
        Whether its records were made up.
    """

    list: Callable[[Path, Path | None, str], Sequence[Any]]
    read: Callable[[Any], EcgRecord | Quarantined]
    synthetic: bool = False


SOURCES: Mapping[str, Source] = {
    "wfdb": Source(list_wfdb, read_wfdb),
    "ptb-xl": Source(list_ptb_xl, read_ptb_xl),
    "code-15": Source(list_code15, read_code15),
    "array": Source(list_array, read_array),
    "synthetic": Source(list_synthetic, read_synthetic, synthetic=True),
}
