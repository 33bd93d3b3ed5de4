"""What to turn into MEDS roots, and how."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from client.ehr.counts import QUARANTINE_CAP

PART_BYTES = 48 * 2**20


class SourceName(StrEnum):
    """Sources that can be turned into MEDS roots."""

    MIMIC_IV = "mimic-iv"
    EICU = "eicu"
    MEDS = "meds"
    SYNTHETIC = "synthetic"


@dataclass(frozen=True)
class ShardRequest:
    """A source and how it is to become MEDS roots.

    Attributes
    ----------
    source : SourceName
    folder, out : Path
        What to read, and the folder of the root (or of a root a site) to write.
    site_column : str
        Column that divides the patients into sites; empty for one root.
    only_sites : tuple of str
        Sites to write; empty for all.
    seed : int
        Of the splits.
    drug_atc : Path, optional
        Table ``drug,atc_code`` by which drugs get ATC codes.
    quarantine_cap : float
        Largest share of a table's rows that may be set aside for one reason.
    part_bytes : int
        Bytes of source files for each data file; memory grows with it.
    """

    source: SourceName
    folder: Path
    out: Path
    site_column: str = ""
    only_sites: tuple[str, ...] = ()
    seed: int = 0
    drug_atc: Path | None = None
    quarantine_cap: float = QUARANTINE_CAP
    part_bytes: int = PART_BYTES
