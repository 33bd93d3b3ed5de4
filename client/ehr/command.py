"""``wardlaw client shard ehr``: choose the reader of a source, write whole or not at all."""

from pathlib import Path

from client.ehr.extract import extract
from client.ehr.meds_root import is_meds_root, is_synthetic, open_root
from client.ehr.request import ShardRequest, SourceName
from client.ehr.reshard import reshard
from client.ehr.summary import Progress, Summary, silent
from client.new_folder import written_whole
from wardlaw.errors import DataError


def shard_source(request: ShardRequest, progress: Progress = silent) -> Summary:
    """Write the MEDS roots of a source; on any error nothing is left behind.

    Raises
    ------
    DataError
        If ``request.out`` has something in it, or the source cannot be read as what it claims to be.
    """
    with written_whole(request.out) as out:
        if request.source in (SourceName.MIMIC_IV, SourceName.EICU):
            return extract(request, out, progress)
        return _reshard_all(request, out, progress)


def _reshard_all(request: ShardRequest, out: Path, progress: Progress) -> Summary:
    """Roots of a folder: the folder itself, or each folder within it that is one."""
    if is_meds_root(request.folder):
        return _reshard_one(request, request.folder, out, progress)
    roots = [folder for folder in sorted(request.folder.glob("*")) if is_meds_root(folder)]
    if not roots:
        raise DataError("no MEDS data", where=str(request.folder), remedy="A root has data/*.parquet")
    summary = Summary(request.source)
    for root in roots:
        one = _reshard_one(request, root, out / root.name, progress)
        summary.tables[root.name] = one.tables["data"]
        summary.sites |= {
            f"{root.name}/{site}" if request.site_column else root.name: sizes
            for site, sizes in one.sites.items()
        }
    return summary


def _reshard_one(request: ShardRequest, folder: Path, out: Path, progress: Progress) -> Summary:
    if request.source == SourceName.SYNTHETIC and not is_synthetic(open_root(folder).dataset):
        raise DataError(
            "dataset.json does not say that these patients are synthetic",
            where=str(folder),
            remedy="Use --source meds for patients of a hospital",
        )
    return reshard(
        request.source, folder, out, request.site_column, request.only_sites, request.seed, progress
    )
