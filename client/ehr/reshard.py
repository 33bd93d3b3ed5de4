"""A MEDS root to MEDS roots: checked, divided into sites and files, with splits."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import meds.schema as meds
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from client.ehr.counts import TableCounts
from client.ehr.meds_root import MedsRoot, RootScan, checked_batches, open_root
from client.ehr.roots import write_codes, write_dataset, write_splits
from client.ehr.sites import WHOLE, check_column, check_sites, site_name
from client.ehr.splits import mix64, splits_of
from client.ehr.summary import Progress, Summary, silent

PART_BYTES = 48 * 2**20


@dataclass
class _SiteWriter:
    """One site's root in the making, with a data file for each part that has rows."""

    folder: Path
    schema: pa.Schema
    events: int = 0
    subjects: set[int] = field(default_factory=set)
    codes: set[str] = field(default_factory=set)
    files: dict[int, pq.ParquetWriter] = field(default_factory=dict)

    def write(self, part: int, rows: pl.DataFrame, table: pa.Table) -> None:
        if part not in self.files:
            path = self.folder / meds.data_subdirectory / f"{part:05d}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            self.files[part] = pq.ParquetWriter(path, self.schema, compression="zstd", compression_level=1)
        self.files[part].write_table(table)
        self.events += rows.height
        self.subjects.update(rows["subject_id"].unique())
        self.codes.update(rows["code"].unique())


def reshard(
    source: str,
    folder: Path,
    out: Path,
    site_column: str = "",
    only_sites: tuple[str, ...] = (),
    seed: int = 0,
    progress: Progress = silent,
) -> Summary:
    """Check a MEDS root and write it anew, or one root a site.

    Rows keep their order. Splits of the input are kept; subjects without one get it by
    `client.ehr.splits.splits_of`.

    Parameters
    ----------
    source : str
        Named in the summary.
    folder, out : Path
        Root to read; where to write.
    site_column : str
        Column of the data that divides it; empty for one root.
    only_sites : tuple of str
        Sites to write; empty for all.
    seed : int
        Of the splits that are made.
    progress : callable

    Raises
    ------
    ConfigError
        If the data have no such column.
    DataError
        If the root breaks a promise of MEDS, or a wanted site is not there.
    """
    root = open_root(folder)
    check_column(site_column, root.extensions, only_sites)
    parts = max(1, -(-sum(path.stat().st_size for path in root.files) // PART_BYTES))
    scan = RootScan()
    writers: dict[str, _SiteWriter] = {}
    for table in checked_batches(root, scan):
        columns = ["subject_id", "code", *([site_column] if site_column else [])]
        rows = pl.DataFrame(table.select(columns)).with_row_index("row")
        for (site, part), piece in _pieces(rows, site_column, parts):
            if only_sites and site not in only_sites:
                continue
            home = out / site if site_column else out
            writer = writers.setdefault(site, _SiteWriter(home, root.schema))
            writer.write(part, piece, table.take(piece["row"].to_arrow()))
        progress("data", rows.height)
    for writer in writers.values():
        for file in writer.files.values():
            file.close()
    check_sites(set(writers), only_sites, site_column)
    summary = Summary(
        source, {"data": TableCounts(scan.events, scan.events, values_nulled=scan.values_nulled)}
    )
    for site, writer in sorted(writers.items()):
        summary.sites[site] = {"subjects": len(writer.subjects), "events": writer.events}
    for site, writer in sorted(writers.items()):
        _write_metadata(root, site, writer, seed, summary)
    return summary


def _pieces(rows: pl.DataFrame, site_column: str, parts: int) -> list[tuple[tuple[str, int], pl.DataFrame]]:
    """Rows of each site and part, in their order."""
    part = mix64(rows["subject_id"].to_numpy(), 0) % np.uint64(parts)
    site = site_name(pl.col(site_column)) if site_column else pl.lit(WHOLE)
    divided = rows.with_columns(site.alias("site"), pl.Series("part", part))
    pieces = divided.partition_by("site", "part", as_dict=True, maintain_order=True)
    return [((str(site), int(number)), piece) for (site, number), piece in sorted(pieces.items())]


def _write_metadata(root: MedsRoot, site: str, writer: _SiteWriter, seed: int, summary: Summary) -> None:
    subjects = np.array(sorted(writer.subjects), dtype=np.int64)
    kept = dict(root.splits.iter_rows())
    made = splits_of(subjects, seed).tolist()
    splits = [kept.get(subject, split) for subject, split in zip(subjects.tolist(), made, strict=True)]
    write_splits(writer.folder, subjects, np.array(splits, dtype=np.str_))
    write_codes(writer.folder, root.codes.filter(pl.col("code").is_in(sorted(writer.codes))))
    described: dict[str, Any] = {
        name: value
        for name, value in root.dataset.items()
        if name not in ("etl_name", "etl_version", "created_at")
    }
    write_dataset(writer.folder, described, summary.of_site(site))
