"""Source tables to MEDS roots, in bounded memory.

Each table is streamed once; its events go to parts on disk by a hash of the subject. Then
each part is sorted and written as one data file, so memory is that of a part, whatever
the size of the source.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from client.ehr import eicu, mimic
from client.ehr.codebook import Codebook
from client.ehr.config import Source, load_source
from client.ehr.counts import QUARANTINE_CAP, TableCounts
from client.ehr.filters import FILTERS, Filter, atc_filter
from client.ehr.parts import sorted_part, told_once
from client.ehr.roots import RootWriter, hashed_splits, write_codes, write_dataset
from client.ehr.rows import TableReader
from client.ehr.sites import Sites
from client.ehr.spill import Spill
from client.ehr.tables import Tables
from wardlaw.errors import DataError

PREPARE = {"mimic-iv": mimic.prepare, "eicu": eicu.prepare}
PART_BYTES = 48 * 2**20
Progress = Callable[[str, int], None]


@dataclass(frozen=True)
class Extraction:
    """What to extract and how.

    Attributes
    ----------
    source : str
        ``mimic-iv`` or ``eicu``.
    folder, out : Path
        Source tables, and where the root (or a root a site) is written.
    site_column : str
        Column that divides the source into sites; empty for one root.
    only_sites : tuple of str
        Sites to write; empty for all.
    seed : int
        Of the split.
    drug_atc : Path, optional
        Table ``drug,atc_code`` by which drugs get ATC codes.
    quarantine_cap : float
        Largest share of a table's rows that may be set aside for one reason.
    part_bytes : int
        Bytes of (compressed) source files for each part.
    """

    source: str
    folder: Path
    out: Path
    site_column: str = ""
    only_sites: tuple[str, ...] = ()
    seed: int = 0
    drug_atc: Path | None = None
    quarantine_cap: float = QUARANTINE_CAP
    part_bytes: int = PART_BYTES


@dataclass
class Summary:
    """What an extraction did: counts by table, absent optional tables, and sizes by site."""

    source: str
    tables: dict[str, TableCounts] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    sites: dict[str, dict[str, int]] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Plain form for JSON."""
        return {
            "source": self.source,
            "tables": {name: counts.record() for name, counts in self.tables.items()},
            "absent-tables": self.absent,
            "sites": self.sites,
        }


def extract(work: Extraction, progress: Progress = lambda table, rows: None) -> Summary:
    """Extract a source's tables to MEDS roots.

    Raises
    ------
    DataError
        If a required table or column is missing, a file is damaged, more of a table is
        faulty than the cap allows, or no patient is left.
    """
    source = load_source(work.source)
    tables = Tables.find(work.folder, source.folders)
    visits, derived = PREPARE[work.source](tables)
    tables = Tables(tables.paths, derived)
    sites = Sites.of(visits, source.site_columns, work.site_column, work.only_sites)
    visits = visits.with_row_index("visit").with_columns(pl.col("visit").cast(pl.UInt32))
    summary = Summary(work.source)
    codebook = Codebook()
    work.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work.out, prefix=".parts-") as parts:
        count = max(1, -(-tables.size() // work.part_bytes))
        spill = Spill(Path(parts), count, visits["subject"].to_numpy())
        _read_tables(work, source, tables, visits, codebook, spill, summary, progress)
        spill.close()
        _write_roots(work, source, visits, codebook, spill, sites, summary, progress)
    return summary


def _read_tables(
    work: Extraction,
    source: Source,
    tables: Tables,
    visits: pl.DataFrame,
    codebook: Codebook,
    spill: Spill,
    summary: Summary,
    progress: Progress,
) -> None:
    filters: dict[str, Filter] = {**FILTERS, "atc": atc_filter(_drug_atc(work.drug_atc))}
    visits = visits.drop("subject", *source.site_columns)
    for table in source.tables:
        if table.name not in tables and not table.required:
            summary.absent.append(table.name)
            continue
        reader = TableReader(source, table, tables, visits, filters, codebook)
        for rows in reader.batches():
            for events in reader.events(rows):
                spill.add(events)
            progress(table.name, rows.height)
        reader.counts.check(table.name, work.quarantine_cap)
        summary.tables[table.name] = reader.counts


def _write_roots(
    work: Extraction,
    source: Source,
    visits: pl.DataFrame,
    codebook: Codebook,
    spill: Spill,
    sites: Sites,
    summary: Summary,
    progress: Progress,
) -> None:
    names, ranks = codebook.names(), codebook.ranks()
    writers: dict[str, RootWriter] = {}
    for part in range(spill.parts):
        events = sorted_part(spill.read(part), visits, ranks, source.site_columns)
        for site, rows in sites.divide(events):
            folder = work.out / site if work.site_column else work.out
            writer = writers.setdefault(site, RootWriter(folder, source.site_columns))
            writer.write_part(f"{part:05d}", told_once(rows, codebook.once), names)
        progress("sorted parts", 1)
    if not writers:
        raise DataError(
            "no event was found", where=str(work.folder), remedy="Check that the tables have rows"
        )
    described = {
        "dataset_name": source.name,
        "dataset_version": source.version,
        "license": source.license,
        "site_id_columns": list(source.site_columns),
    }
    for site, writer in sorted(writers.items()):
        subjects = writer.subject_ids()
        summary.sites[site] = {
            "subjects": len(subjects),
            "visits": sites.visits(site),
            "events": writer.events,
        }
        write_codes(writer.folder, _code_table(codebook, writer.codes))
        hashed_splits(writer.folder, subjects, work.seed)
    for site, writer in sorted(writers.items()):
        extraction = {**summary.record(), "site": site, "sites": {site: summary.sites[site]}}
        write_dataset(writer.folder, described, extraction)


def _code_table(codebook: Codebook, numbers: set[int]) -> pl.DataFrame:
    codes = codebook.names()[sorted(numbers)].tolist()
    return pl.DataFrame(
        {
            "code": codes,
            "description": [codebook.descriptions.get(code) for code in codes],
            "parent_codes": [sorted(codebook.parents.get(code, ())) or None for code in codes],
        },
        schema={"code": pl.String, "description": pl.String, "parent_codes": pl.List(pl.String)},
    )


def _drug_atc(path: Path | None) -> dict[str, str]:
    """ATC code by a drug's lower-case name; of several the alphabetically first."""
    if path is None:
        return {}
    table = Tables({"drug_atc": path}).frame("drug_atc", ["drug", "atc_code"]).drop_nulls()
    table = table.with_columns(pl.col("drug").str.to_lowercase()).sort("drug", "atc_code")
    return dict(table.unique("drug", keep="first").iter_rows())
