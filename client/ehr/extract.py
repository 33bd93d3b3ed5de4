"""Source tables to MEDS roots, in bounded memory.

Each table is streamed once; its events go to parts on disk by a hash of the subject. Then
each part is sorted and written as one data file, so memory is that of a part, whatever
the size of the source.
"""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from client.ehr import eicu, mimic
from client.ehr.codebook import Codebook
from client.ehr.config import Source, load_source
from client.ehr.filters import FILTERS, Filter, atc_filter
from client.ehr.labels import Labels
from client.ehr.parts import sorted_part, told_once
from client.ehr.request import ShardRequest, SourceName
from client.ehr.roots import RootWriter, write_codes, write_dataset, write_splits
from client.ehr.rows import TableReader
from client.ehr.sites import Sites
from client.ehr.spill import Spill
from client.ehr.splits import splits_of
from client.ehr.summary import Progress, Summary, silent
from client.ehr.tables import Tables
from wardlaw.errors import DataError

PREPARE = {SourceName.MIMIC_IV: mimic.prepare, SourceName.EICU: eicu.prepare}


def extract(request: ShardRequest, out: Path, progress: Progress = silent) -> Summary:
    """Write a source's tables as MEDS roots under ``out``.

    Raises
    ------
    DataError
        If a required table or column is missing, a file is damaged, more of a table is
        faulty than the cap allows, or no event is found.
    """
    source = load_source(request.source)
    found = Tables.find(request.folder, source.folders)
    visits, derived = PREPARE[request.source](found)
    sites = Sites.of(visits, source.site_columns, request.site_column, request.only_sites)
    visits = visits.with_row_index("visit")
    run = _Run(request, source, Tables(found.paths, derived), visits, progress)
    with tempfile.TemporaryDirectory(dir=out, prefix=".parts-") as folder:
        parts = max(1, -(-found.size() // request.part_bytes))
        spill = Spill(Path(folder), parts, visits["subject"].to_numpy())
        run.read_tables(spill)
        run.write_roots(spill, sites, out)
    return run.summary


@dataclass
class _Run:
    """One extraction and what it has found so far."""

    request: ShardRequest
    source: Source
    tables: Tables
    visits: pl.DataFrame
    progress: Progress
    codebook: Codebook = field(default_factory=Codebook)

    def __post_init__(self) -> None:
        self.summary = Summary(self.request.source)

    def read_tables(self, spill: Spill) -> None:
        """Send the events of all tables to ``spill``."""
        filters: dict[str, Filter] = {**FILTERS, "atc": atc_filter(_drug_atc(self.request.drug_atc))}
        known = self.visits.drop("subject", *self.source.site_columns)
        for table in self.source.tables:
            if table.name not in self.tables and not table.required:
                self.summary.absent.append(table.name)
                continue
            reader = TableReader(self.source, table, self.tables, known, filters, self.codebook)
            for rows in reader.batches():
                for events in reader.events(rows):
                    spill.add(events)
                self.progress(table.name, rows.height)
            reader.counts.check(table.name, self.request.quarantine_cap)
            self.summary.tables[table.name] = reader.counts
        spill.close()

    def write_roots(self, spill: Spill, sites: Sites, out: Path) -> None:
        """Write each site's root from what ``spill`` holds."""
        names, ranks = sorted(self.codebook.numbers), self.codebook.ranks()
        once = ranks[sorted(self.codebook.once)].tolist()
        subjects = self.visits["subject"].to_numpy()
        extensions = {name: Labels.of(self.visits[name]) for name in self.source.site_columns}
        writers: dict[str, RootWriter] = {}
        for part in range(spill.parts):
            events = sorted_part(spill.read(part), subjects, ranks)
            for site, rows in sites.divide(events):
                home = out / site if self.request.site_column else out
                writer = writers.setdefault(site, RootWriter(home, extensions))
                writer.write_part(f"{part:05d}", told_once(rows, once), names)
            self.progress("data files", 1)
        if not writers:
            raise DataError(
                "no event was found", where=str(self.request.folder), remedy="Check the tables' rows"
            )
        for site, writer in sorted(writers.items()):
            self.summary.sites[site] = {
                "subjects": len(writer.subject_ids()),
                "visits": sites.visits(site),
                "events": writer.events,
            }
        for site, writer in writers.items():
            self._write_metadata(site, writer)

    def _write_metadata(self, site: str, writer: RootWriter) -> None:
        subjects = writer.subject_ids()
        write_splits(writer.folder, subjects, splits_of(subjects, self.request.seed))
        write_codes(writer.folder, self.codebook.table(writer.codes))
        described = {
            "dataset_name": self.source.name,
            "dataset_version": self.source.version,
            "license": self.source.license,
            "site_id_columns": list(self.source.site_columns),
        }
        write_dataset(writer.folder, described, self.summary.of_site(site))


def _drug_atc(path: Path | None) -> dict[str, str]:
    """ATC code by a drug's lower-case name; of several the alphabetically first."""
    if path is None:
        return {}
    table = Tables({"drug_atc": path}).frame("drug_atc", ["drug", "atc_code"]).drop_nulls()
    table = table.with_columns(pl.col("drug").str.to_lowercase()).sort("drug", "atc_code")
    return dict(table.unique("drug", keep="first").iter_rows())
