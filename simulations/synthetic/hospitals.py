"""Writes synthetic hospitals as MEDS roots, one data file at a time."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from client.ehr.roots import RootWriter, write_codes, write_dataset, write_splits
from client.ehr.splits import splits_of
from simulations.synthetic.process import (
    GENDERS,
    RACES,
    Floats,
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
    writer = RootWriter(folder)
    names = [*generator.codes, *GENDERS, *RACES, BIRTH]
    total = generator.parameters.patients
    for part, first in enumerate(range(0, total, _FILE_PATIENTS)):
        patients = min(_FILE_PATIENTS, total - first)
        rng = stream(generator.parameters.seed, "timelines", generator.sites[site], part)
        timelines = sample_timelines(generator.process, site, patients, rng)
        origins = _EARLIEST + rng.integers(0, _ORIGIN_MINUTES, patients)
        subjects = np.arange(first, first + patients) + site * SITE_IDS + 1
        writer.write_part(f"{part:05d}", _rows(timelines, subjects, origins, len(generator.codes)), names)
        progress(generator.sites[site], patients)
    written = [names[number] for number in sorted(writer.codes)]
    description = [f"label of a generated event: {code}" for code in written]
    no_parents = pl.Series("parent_codes", [None] * len(written), pl.List(pl.String))
    write_codes(folder, pl.DataFrame({"code": written, "description": description}).with_columns(no_parents))
    all_subjects = writer.subject_ids()
    write_splits(folder, all_subjects, splits_of(all_subjects, generator.parameters.seed))
    described = {
        "dataset_name": DATASET_NAME,
        "dataset_version": f"seed {generator.parameters.seed}, {generator.sites[site]}",
        "site_id_columns": [],
    }
    write_dataset(folder, described, describe_generator(generator) | {"site": generator.sites[site]})
    return writer.events


def _rows(timelines: Timelines, subjects: Ints, origins: Ints, codes: int) -> pl.DataFrame:
    """Static rows, birth, then events of each subject."""
    patients, everyone = len(subjects), np.arange(len(subjects))
    patient = np.concatenate([everyone, everyone, everyone, timelines.patient])
    order = np.argsort(patient, kind="stable")
    birth_code = codes + len(GENDERS) + len(RACES)
    code = np.concatenate(
        [
            codes + timelines.gender,
            codes + len(GENDERS) + timelines.race,
            np.full(patients, birth_code),
            timelines.code,
        ]
    )[order]
    minutes = np.concatenate(
        [origins, origins, origins - timelines.age, origins[timelines.patient] + timelines.minutes]
    )
    no_value: Floats = np.full(3 * patients, np.nan, dtype=np.float32)
    return pl.DataFrame(
        {
            "subject_id": subjects[patient[order]],
            "time": pl.Series(minutes[order] * _MINUTE).cast(pl.Datetime("us")),
            "code": code,
            "numeric_value": pl.Series(np.concatenate([no_value, timelines.value])[order]).fill_nan(None),
        }
    ).with_columns(
        pl.when(pl.col("code").is_between(codes, birth_code, closed="left"))
        .then(None)
        .otherwise("time")
        .alias("time"),
        pl.lit(None, pl.String).alias("text_value"),
    )
