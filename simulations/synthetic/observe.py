"""Reads synthetic MEDS roots as the oracle's observations."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import meds
import numpy as np
import polars as pl

from simulations.synthetic.oracle import Observations, Oracle
from simulations.synthetic.process import GENDERS, RACES, YEAR_MINUTES, Generator, Ints
from simulations.synthetic.sample import Timelines
from simulations.synthetic.symbols import BIRTH
from wardlaw.errors import DataError

_BATCH = 256
_MINUTE = 60_000_000


def read_timelines(root: Path, generator: Generator, split: str) -> Iterator[Timelines]:
    """Patients of a split of one site, a data file at a time; ``state`` is not in the files, so -1.

    Raises
    ------
    DataError
        If the root is not one that the generator wrote.
    """
    files = sorted((root / meds.data_subdirectory).rglob("*.parquet"))
    if not files:
        raise DataError("no data files", where=str(root / meds.data_subdirectory))
    splits = pl.read_parquet(root / meds.subject_splits_filepath)
    wanted = splits.filter(pl.col("split") == split)["subject_id"].implode()
    for file in files:
        columns = ["subject_id", "time", "code", "numeric_value"]
        rows = pl.read_parquet(file, columns=columns).filter(pl.col("subject_id").is_in(wanted))
        if rows.height:
            yield _timelines(rows, generator, file)


def batches(oracle: Oracle, timelines: Timelines) -> Iterator[tuple[Observations, Ints, Ints]]:
    """Observations of patients of like length; with each the patients' indices and tokens."""
    minutes = timelines.minutes
    starts = np.searchsorted(timelines.patient, np.arange(len(timelines.age)))
    lengths = np.diff(np.append(starts, len(minutes)))
    gaps = np.diff(minutes, prepend=minutes[:1])
    gaps[starts] = 0
    symbols = oracle.symbols.of_events(timelines.code, timelines.value.astype(np.float64))
    written = oracle.symbols.tokens[symbols] + oracle.symbols.gap_tokens[oracle.symbols.of_gaps(gaps)]
    tokens = oracle.statics.tokens + np.add.reduceat(written, starts) + 1
    age_bins = np.searchsorted(oracle.statics.age_edges, timelines.age / YEAR_MINUTES, side="left")
    order = np.argsort(-lengths, kind="stable")
    for first in range(0, len(order), _BATCH):
        chosen = order[first : first + _BATCH]
        steps = np.arange(lengths[chosen[0]])
        place = np.minimum(starts[chosen][:, None] + steps, len(minutes) - 1)
        seen = Observations(
            lengths[chosen],
            symbols[place],
            gaps[place],
            timelines.gender[chosen],
            timelines.race[chosen],
            age_bins[chosen],
        )
        yield seen, chosen, tokens[chosen]


@dataclass(frozen=True)
class _Numbers:
    """Codes of one kind, numbered."""

    codes: tuple[str, ...]

    def of(self, column: pl.Series) -> Ints:
        numbers = column.replace_strict(self.codes, range(len(self.codes)), default=-1, return_dtype=pl.Int64)
        return numbers.to_numpy()


def _timelines(rows: pl.DataFrame, generator: Generator, file: Path) -> Timelines:
    subjects = rows["subject_id"].rle_id().to_numpy().astype(np.int64)
    code = _Numbers(generator.codes).of(rows["code"])
    gender, race = _Numbers(GENDERS).of(rows["code"]), _Numbers(RACES).of(rows["code"])
    birth = (rows["code"] == BIRTH).to_numpy()
    patients = int(subjects[-1]) + 1
    timed = code >= 0
    counts = [np.bincount(subjects[chosen], minlength=patients) for chosen in (gender >= 0, race >= 0, birth)]
    if any((count != 1).any() for count in counts) or not (timed | birth | (gender >= 0) | (race >= 0)).all():
        raise DataError("holds what this generator did not write", where=str(file))
    minutes = rows["time"].dt.epoch("us").to_numpy() / _MINUTE
    events = subjects[timed]
    origin = minutes[timed][np.searchsorted(events, np.arange(patients))]
    return Timelines(
        patient=events,
        code=code[timed],
        minutes=np.rint(minutes[timed] - origin[events]).astype(np.int64),
        value=rows["numeric_value"].to_numpy()[timed],
        state=np.full(len(events), -1),
        gender=gender[gender >= 0],
        race=race[race >= 0],
        age=np.rint(origin - minutes[birth]).astype(np.int64),
    )
