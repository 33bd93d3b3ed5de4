"""Synthetic MEDS roots as the oracle's observations, through the tokeniser's own reader."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from client.ehr.meds_root import open_root
from client.ehr.timeline import Timelines, read_timelines, split_subjects
from simulations.synthetic.oracle import Observations, Oracle
from simulations.synthetic.process import GENDERS, RACES, Generator, Ints
from simulations.synthetic.symbols import BIRTH
from wardlaw.errors import DataError

_BATCH = 256
_STATICS = 3
"""Events before a patient's first timed one: gender, race, birth."""


@dataclass(frozen=True)
class Patients:
    """Some patients of one site, by decreasing number of events.

    Attributes
    ----------
    subject_ids, tokens, events : (n,) int64
        Tokens without the start, which nobody has to predict; events with the static ones.
    seen : Observations
    """

    subject_ids: Ints
    tokens: Ints
    events: Ints
    seen: Observations


def observe_site(root: Path, split: str, generator: Generator, oracle: Oracle) -> Iterator[Patients]:
    """Patients of a split of one site, in batches of like length.

    Raises
    ------
    DataError
        If the root holds what the generator cannot have written.
    """
    meds_root = open_root(root)
    wanted = split_subjects(meds_root, split)
    for path, timelines in read_timelines(meds_root):
        chosen = timelines.of(wanted)
        if not len(chosen.subject_ids):
            continue
        try:
            everyone = _observe(chosen, generator, oracle)
        except (KeyError, IndexError, ValueError):
            raise DataError(
                "holds events that this generator did not write",
                where=str(path),
                remedy="Use the folder as `wardlaw simulate hospitals` left it",
            ) from None
        order = np.argsort(-everyone.seen.lengths, kind="stable")
        for start in range(0, len(order), _BATCH):
            yield _chosen(everyone, order[start : start + _BATCH])


def _observe(timelines: Timelines, generator: Generator, oracle: Oracle) -> Patients:
    """Patients in the order of their timelines."""
    static_codes = (*GENDERS, *RACES, BIRTH)
    numbers = {code: number for number, code in enumerate((*static_codes, *generator.codes))}
    code = np.array([numbers[name] for name in timelines.names])[timelines.codes]
    first = np.cumsum(timelines.events) - timelines.events
    timed = np.ones(len(code), dtype=bool)
    timed[first[:, None] + np.arange(_STATICS)] = False
    gender, race, birth = (code[first + place] for place in range(_STATICS))
    if not (
        np.all(timelines.events > _STATICS)
        and np.all(gender < len(GENDERS))
        and np.all((race >= len(GENDERS)) & (race < len(GENDERS) + len(RACES)))
        and np.all(birth == len(static_codes) - 1)
        and np.all(code[timed] >= len(static_codes))
    ):
        raise ValueError("static events are not those of the generator")
    lengths = timelines.events - _STATICS
    starts = np.cumsum(lengths) - lengths
    gaps = np.diff(timelines.minutes[timed], prepend=0)
    gaps[starts] = 0
    symbols = oracle.symbols.of_events(code[timed] - len(static_codes), timelines.values[timed])
    written = oracle.symbols.tokens[symbols] + oracle.symbols.gap_tokens[oracle.symbols.of_gaps(gaps)]
    places = np.minimum(starts[:, None] + np.arange(lengths.max()), len(symbols) - 1)
    return Patients(
        timelines.subject_ids,
        oracle.statics.tokens + np.add.reduceat(written, starts) + 1,
        timelines.events,
        Observations(
            lengths,
            symbols[places],
            gaps[places],
            gender,
            race - len(GENDERS),
            (oracle.statics.age_edges < timelines.values[first + _STATICS - 1][:, None]).sum(axis=1),
        ),
    )


def _chosen(patients: Patients, order: Ints) -> Patients:
    seen = patients.seen
    longest = seen.lengths[order].max()
    return Patients(
        patients.subject_ids[order],
        patients.tokens[order],
        patients.events[order],
        Observations(
            seen.lengths[order],
            seen.symbols[order, :longest],
            seen.gaps[order, :longest],
            seen.genders[order],
            seen.races[order],
            seen.age_bins[order],
        ),
    )
