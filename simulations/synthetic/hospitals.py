"""Writes synthetic hospitals as MEDS roots, one data file at a time."""

from collections.abc import Callable
from pathlib import Path

import meds.schema as meds
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from client.ehr.roots import write_codes, write_dataset, write_splits
from client.ehr.splits import splits_of
from simulations.synthetic.process import (
    GENDERS,
    RACES,
    Generator,
    Ints,
    describe_generator,
    save_generator,
)
from simulations.synthetic.sample import Timelines, sample_timelines
from simulations.synthetic.symbols import BIRTH
from wardlaw.errors import DataError
from wardlaw.seeds import generator as stream

DATASET_NAME = "synthetic hospitals"
SITE_IDS = 100_000_000
"""Subject ids of one site lie in a range of this size, so that sites can be pooled."""
_FILE_PATIENTS = 2048
_MINUTE = 60_000_000  # microseconds
_EARLIEST = int(np.datetime64("2100-01-01", "m").astype(np.int64))
_ORIGIN_MINUTES = 10 * 525_960
"""Timelines begin within ten years, which lie in the future so that nobody takes them for real."""


def write_hospitals(
    folder: Path, generator: Generator, progress: Callable[[str, int], None]
) -> dict[str, int]:
    """Write a MEDS root a site, and the generator beside them.

    Parameters
    ----------
    folder : Path
        Gets ``<site>/`` for each site, ``process.safetensors`` and ``generator.json``.
    generator : Generator
    progress : callable
        Called with a site's name and the patients of a file just written.

    Returns
    -------
    dict of str to int
        Rows written, by site.

    Raises
    ------
    DataError
        If the folder holds something already, since old files would count as the new site's.
    """
    if folder.exists() and any(folder.iterdir()):
        raise DataError("the folder is not empty", where=str(folder), remedy="Name a new one")
    rows = {
        name: _write_site(folder / name, generator, site, progress)
        for site, name in enumerate(generator.sites)
    }
    save_generator(folder, generator)
    return rows


def _write_site(folder: Path, generator: Generator, site: int, progress: Callable[[str, int], None]) -> int:
    names = pa.array([*generator.codes, *GENDERS, *RACES, BIRTH])
    parameters = generator.parameters
    seed, total = parameters.seed, parameters.patients
    data = folder / meds.data_subdirectory
    data.mkdir(parents=True)
    rows, occurring = 0, np.zeros(len(names), dtype=bool)
    for part, first in enumerate(range(0, total, _FILE_PATIENTS)):
        patients = min(_FILE_PATIENTS, total - first)
        rng = stream(seed, "timelines", generator.sites[site], part)
        timelines = sample_timelines(generator.process, site, patients, rng)
        origins = _EARLIEST + rng.integers(0, _ORIGIN_MINUTES, patients)
        codes, table = _rows(timelines, _subjects(site, first, patients), origins, len(generator.codes))
        table = table.append_column("code", names.take(pa.array(codes)))
        pq.write_table(meds.DataSchema.align(table), data / f"{part:05d}.parquet", compression="zstd")
        rows += table.num_rows
        occurring[codes] = True
        progress(generator.sites[site], patients)
    _write_metadata(folder, generator, generator.sites[site], names.filter(pa.array(occurring)))
    subjects = _subjects(site, 0, total)
    splits = splits_of(subjects, seed, parameters.train_share, parameters.tuning_share)
    write_splits(folder, subjects, splits)
    return rows


def _subjects(site: int, first: int, patients: int) -> Ints:
    return np.arange(first, first + patients) + site * SITE_IDS + 1


def _rows(timelines: Timelines, subjects: Ints, origins: Ints, codes: int) -> tuple[Ints, pa.Table]:
    """Static rows, birth, then events of each subject: code numbers, and the other columns."""
    patients = len(subjects)
    everyone = np.arange(patients)
    patient = np.concatenate([everyone, everyone, everyone, timelines.patient])
    order = np.argsort(patient, kind="stable")
    static = [codes + timelines.gender, codes + len(GENDERS) + timelines.race]
    birth = np.full(patients, codes + len(GENDERS) + len(RACES))
    minutes = np.concatenate(
        [origins, origins, origins - timelines.age, origins[timelines.patient] + timelines.minutes]
    )
    values = np.concatenate([np.full(3 * patients, np.nan, dtype=np.float32), timelines.value])[order]
    columns = {
        "subject_id": subjects[patient[order]],
        "time": pa.array(
            minutes[order] * _MINUTE, pa.timestamp("us"), mask=(np.arange(len(order)) < 2 * patients)[order]
        ),
        "numeric_value": pa.array(values, mask=np.isnan(values)),
    }
    return np.concatenate([*static, birth, timelines.code])[order], pa.table(columns)


def _write_metadata(folder: Path, generator: Generator, site: str, codes: pa.Array) -> None:
    described = {
        "dataset_name": DATASET_NAME,
        "dataset_version": f"seed {generator.parameters.seed}, {site}",
        "site_id_columns": [],
    }
    write_dataset(folder, described, describe_generator(generator) | {"site": site})
    names = codes.to_pylist()
    rows = {
        "code": names,
        "description": [f"label of a generated event: {name}" for name in names],
        "parent_codes": [None] * len(names),
    }
    write_codes(folder, pl.DataFrame(rows, schema_overrides={"parent_codes": pl.List(pl.String)}))
