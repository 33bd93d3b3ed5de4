"""Write a partition of one or several MEDS roots as a MEDS root a site."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import meds.schema as meds
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from client.ehr.meds_root import MedsRoot, RootScan, checked_batches, is_meds_root, open_root
from client.ehr.roots import write_codes, write_dataset, write_splits
from client.ehr.splits import splits_of
from simulations.chapters import dominant_chapters
from simulations.partition import Sites
from wardlaw.errors import DataError


def find_roots(folder: Path) -> list[MedsRoot]:
    """The folder as a MEDS root, or the roots directly under it, by name.

    Raises
    ------
    DataError
        If there is none, or they do not have the same columns.
    """
    paths = [folder] if is_meds_root(folder) else sorted(path.parent for path in folder.glob("*/data"))
    if not paths:
        raise DataError("neither a MEDS root nor a folder of MEDS roots", where=str(folder))
    roots = [open_root(path) for path in paths]
    for root in roots[1:]:
        if root.schema != roots[0].schema:
            raise DataError(
                f"has other columns than {roots[0].folder.name}",
                where=str(root.folder),
                remedy="Partition roots of one source together",
            )
    return roots


def label_patients(roots: Sequence[MedsRoot]) -> dict[int, str]:
    """Dominant ICD chapter of each patient of all roots.

    Raises
    ------
    DataError
        If two roots have a patient of the same id: those may be two persons.
    """
    labels = pl.concat([dominant_chapters(root) for root in roots])
    if doubled := labels.height - labels["subject_id"].n_unique():
        raise DataError(
            f"{doubled} subject ids are in more than one root",
            where=str(roots[0].folder.parent),
            remedy="Partition each root by itself, or give its patients ids of their own",
        )
    return dict(labels.iter_rows())


def write_partition(roots: Sequence[MedsRoot], sites: Sites, out: Path, described: Mapping[str, Any]) -> None:
    """Write each site's patients to ``<out>/<site>``, with the splits they have.

    Parameters
    ----------
    roots : sequence of MedsRoot
    sites : dict of str to (n,) int64
        Of `simulations.partition`.
    out : Path
    described : mapping
        How the partition was made, for ``extraction.json``.

    Raises
    ------
    DataError
        If ``out`` holds something already, or a root breaks a promise of MEDS.
    """
    if out.exists() and any(out.iterdir()):
        raise DataError("the folder is not empty", where=str(out), remedy="Name a new one")
    names = list(sites)
    home = pl.DataFrame(
        {
            "subject_id": np.concatenate(list(sites.values())),
            "site": np.repeat(np.arange(len(sites)), [len(subjects) for subjects in sites.values()]),
        }
    )
    codes: list[set[str]] = [set() for _ in names]
    for number, root in enumerate(roots):
        _divide(root, home, [out / name / meds.data_subdirectory for name in names], f"{number:02d}", codes)
    known = pl.concat([root.codes for root in roots], how="diagonal_relaxed").unique(
        "code", keep="first", maintain_order=True
    )
    kept = {subject: split for root in roots for subject, split in root.splits.iter_rows()}
    dataset = {
        key: value
        for key, value in roots[0].dataset.items()
        if key not in ("etl_name", "etl_version", "created_at", "meds_version")
    }
    for name, present in zip(names, codes, strict=True):
        subjects = sites[name]
        made = splits_of(subjects).tolist()
        splits = [kept.get(subject, split) for subject, split in zip(subjects.tolist(), made, strict=True)]
        write_splits(out / name, subjects, np.array(splits, dtype=np.str_))
        write_codes(out / name, known.filter(pl.col("code").is_in(sorted(present))))
        write_dataset(out / name, dataset, {**described, "site": name})


def _divide(
    root: MedsRoot, home: pl.DataFrame, folders: list[Path], prefix: str, codes: list[set[str]]
) -> None:
    """Copy rows to their sites; each of the root's files becomes one of each site that has rows in it."""
    with ExitStack() as stack:
        files: dict[tuple[int, Path], pq.ParquetWriter] = {}
        scan = RootScan()
        for table in checked_batches(root, scan):
            rows = pl.DataFrame(table.select(["subject_id", "code"])).join(
                home, on="subject_id", maintain_order="left"
            )
            pieces = rows.with_row_index("row").partition_by("site", as_dict=True)
            assert scan.last is not None
            for (site,), piece in pieces.items():
                key = (int(site), scan.last[0])
                if key not in files:
                    place = root.files.index(key[1])
                    path = folders[key[0]] / f"{prefix}-{place:05d}.parquet"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    files[key] = stack.enter_context(pq.ParquetWriter(path, root.schema, compression="zstd"))
                files[key].write_table(table.take(pa.array(piece["row"])))
                codes[key[0]].update(piece["code"].unique())


def summarise_skew(sites: Sites, labels: Mapping[int, str]) -> dict[str, Any]:
    """How unlike the sites are.

    Returns
    -------
    dict
        By site: ``patients``, ``labels`` (patients by label), ``label_distance`` (total
        variation distance of the site's label shares from those of all patients, 0..1).
    """
    names = sorted(set(labels.values()))
    everyone = _shares(list(labels.values()), names)
    summary: dict[str, Any] = {}
    for site, subjects in sites.items():
        mine = [labels[subject] for subject in subjects.tolist()]
        distance = 0.5 * float(np.abs(_shares(mine, names) - everyone).sum())
        counts = {name: mine.count(name) for name in names if name in mine}
        summary[site] = {"patients": len(mine), "labels": counts, "label_distance": round(distance, 4)}
    return summary


def _shares(labels: list[str], names: list[str]) -> "np.ndarray[Any, np.dtype[np.float64]]":
    counts = np.array([labels.count(name) for name in names], dtype=np.float64)
    return np.asarray(counts / counts.sum())
