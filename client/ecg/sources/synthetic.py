"""Generated records: folders with a ``generator.json``, as ``wardlaw simulate ecg-hospitals`` writes them.

Nothing is stored: each record is made when it is read, a pure function of its reference.
"""

from dataclasses import dataclass
from pathlib import Path

from client.ecg.record import EcgRecord
from client.ecg.sources.table import check_site_column, refuse_patients
from client.ecg.synthetic.record import record_name, synthetic_record
from client.ecg.synthetic.site import GENERATOR_FILE, SyntheticSite, load_site
from wardlaw.errors import DataError

SITE_COLUMN = "site"
"""Column by which records are divided into sites."""


@dataclass(frozen=True)
class SyntheticReference:
    """A record to make: its hospital's settings, and its patient's number there."""

    site: SyntheticSite
    number: int

    @property
    def name(self) -> str:
        """Name of the record."""
        return record_name(self.site, self.number)


def list_synthetic(
    folder: Path, patients: Path | None = None, site_column: str = ""
) -> list[SyntheticReference]:
    """Records of a synthetic hospital, or of all hospitals directly under a folder.

    Parameters
    ----------
    folder : Path
    patients : Path, optional
        Refused: each generated record is its own patient's.
    site_column : str
        ``site``, or empty for one site of all.

    Raises
    ------
    ConfigError
        If a table of patients or another column is named.
    DataError
        If there is no ``generator.json``, or one that is not of this version.
    """
    refuse_patients(patients, GENERATOR_FILE)
    check_site_column(site_column, [SITE_COLUMN])
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
