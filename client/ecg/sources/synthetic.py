"""Generated records: folders with a ``generator.json``, as ``wardlaw simulate ecg-hospitals`` writes them.

Nothing is stored: each record is made when it is read, a pure function of its reference.
"""

from dataclasses import dataclass
from pathlib import Path

from client.ecg.record import EcgRecord
from client.ecg.synthetic.record import record_name, synthetic_record
from client.ecg.synthetic.site import GENERATOR_FILE, SOURCE_NAME, SyntheticSite, load_site
from wardlaw.errors import DataError

__all__ = ["SOURCE_NAME", "SyntheticReference", "list_synthetic", "read_synthetic"]


@dataclass(frozen=True)
class SyntheticReference:
    """A record to make: its hospital's settings, and its patient's number there."""

    site: SyntheticSite
    number: int

    @property
    def name(self) -> str:
        """Name of the record."""
        return record_name(self.site, self.number)


def list_synthetic(folder: Path) -> list[SyntheticReference]:
    """Records of a synthetic hospital, or of all hospitals directly under a folder.

    Raises
    ------
    DataError
        If there is no ``generator.json``, or one that is not of this version.
    """
    alone = (folder / GENERATOR_FILE).is_file()
    folders = [folder] if alone else sorted(path.parent for path in folder.glob(f"*/{GENERATOR_FILE}"))
    if not folders:
        raise DataError(
            f"no {GENERATOR_FILE} here",
            where=str(folder),
            remedy="Make some with `wardlaw simulate ecg-hospitals`",
        )
    sites = [load_site(each) for each in folders]
    return [SyntheticReference(site, number) for site in sites for number in range(site.patients)]


def read_synthetic(reference: SyntheticReference) -> EcgRecord:
    """Make a record."""
    return synthetic_record(reference.site, reference.number)
