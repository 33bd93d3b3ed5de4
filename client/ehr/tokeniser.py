"""Timelines to tokens.

An event is written as the intervals since the event before (``ethos``), its code's
units, and the bin of its value; ``fused`` writes code and bin as one token. A patient's
tokens begin with ``[START]`` and end with ``[END]``. All events of a file are written at
once: token by token within the event, each for all events together.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.ehr.shard_writer import Piece
from client.ehr.timeline import Timelines
from wardlaw.vocabulary import END, INTERVALS, START, Vocabulary, interval_classes
from wardlaw.vocabulary.vocabulary import BINS

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _CodeTable:
    """How each of a file's codes is written; arrays by code number.

    Attributes
    ----------
    units : list of ndarray of int64, (codes,)
        First, second, ... token of the code; meaningless from ``lengths`` on.
    lengths : ndarray of int64, (codes,)
    edges : ndarray of float32, (9, codes)
        Filled up with infinity.
    first_bin : ndarray of int64, (codes,)
        0 where values have no bin.
    shortened, unknown : ndarray of bool, (codes,)
    """

    units: list[Integers]
    lengths: Integers
    edges: NDArray[np.float32]
    first_bin: Integers
    shortened: NDArray[np.bool_]
    unknown: NDArray[np.bool_]


def tokenise(timelines: Timelines, vocabulary: Vocabulary, split: str) -> Piece:
    """Write timelines as tokens.

    Parameters
    ----------
    timelines : Timelines
    vocabulary : Vocabulary
    split : str
        Whose patients they are.

    Returns
    -------
    Piece
        ``minutes`` of a token is its event's, that of ``[START]`` the first event's and
        that of ``[END]`` the last event's.
    """
    table = _code_table(timelines.names, vocabulary)
    codes = timelines.codes
    has_value = np.isfinite(timelines.values)
    has_bin = has_value & (table.first_bin[codes] > 0)
    bins = table.first_bin[codes[has_bin]] + _bins(table, codes[has_bin], timelines.values[has_bin])
    last = np.cumsum(timelines.events) - 1
    first = last - timelines.events + 1
    classes, repeats = _intervals(timelines, first, vocabulary)
    appends_bin = has_bin if vocabulary.scheme == "ethos" else np.zeros_like(has_bin)

    lengths = repeats + table.lengths[codes] + appends_bin
    lengths[first] += 1
    lengths[last] += 1
    ends = np.cumsum(lengths)
    starts = ends - lengths
    tokens = np.empty(int(lengths.sum()), dtype=vocabulary.token_dtype)

    place = starts.copy()
    tokens[starts[first]] = vocabulary.ids[START]
    place[first] += 1
    _write_repeated(tokens, place, classes, repeats)
    place += repeats
    for number, unit in enumerate(table.units):
        rows = slice(None) if number == 0 else table.lengths[codes] > number
        tokens[place[rows] + number] = unit[codes[rows]]
    if vocabulary.scheme == "fused":
        tokens[place[has_bin]] = bins
    else:
        tokens[(place + table.lengths[codes])[has_bin]] = bins
    tokens[ends[last] - 1] = vocabulary.ids[END]

    starts_event = np.zeros(len(tokens), dtype=np.uint8)
    starts_event[starts] = 1
    per_patient = np.add.reduceat(lengths, first) if len(first) else first
    counts = Counter(
        shortened_codes=int(table.shortened[codes].sum()),
        unknown_codes=int(table.unknown[codes].sum()),
        values_without_bin=int((has_value & ~has_bin).sum()),
    )
    return Piece(
        split=split,
        tokens=tokens,
        minutes=np.repeat(timelines.minutes.astype(np.int32), lengths),
        starts_event=starts_event,
        subject_ids=timelines.subject_ids,
        lengths=per_patient,
        events=timelines.events,
        origin=timelines.origin,
        counts=counts,
    )


def _code_table(names: list[str], vocabulary: Vocabulary) -> _CodeTable:
    written = [vocabulary.encode(name) for name in names]
    longest = max((len(code.tokens) for code in written), default=0)
    edges = np.full((BINS - 1, len(names)), np.inf, dtype=np.float32)
    for number, code in enumerate(written):
        edges[: len(code.edges), number] = code.edges
    padded = np.array(
        [(*code.tokens, *[0] * (longest - len(code.tokens))) for code in written], dtype=np.int64
    )
    return _CodeTable(
        units=list(padded.reshape(len(names), longest).T.copy()),
        lengths=np.array([len(code.tokens) for code in written], dtype=np.int64),
        edges=edges,
        first_bin=np.array([code.first_bin for code in written], dtype=np.int64),
        shortened=np.array([code.depth > 0 and not code.is_unknown for code in written], dtype=bool),
        unknown=np.array([code.is_unknown for code in written], dtype=bool),
    )


def _bins(table: _CodeTable, codes: Integers, values: NDArray[np.float32]) -> Integers:
    """Number of edges below each value."""
    bins = np.zeros(len(values), dtype=np.int64)
    for edges in table.edges:
        bins += values > edges[codes]
    return bins


def _intervals(timelines: Timelines, first: Integers, vocabulary: Vocabulary) -> tuple[Integers, Integers]:
    """Token of the interval before each event, and how many times it stands."""
    if vocabulary.scheme == "fused":
        return np.zeros_like(timelines.codes), np.zeros_like(timelines.codes)
    gaps = np.diff(timelines.minutes, prepend=0)
    gaps[first] = 0
    classes, repeats = interval_classes(gaps)
    return vocabulary.ids[INTERVALS[0].name] + classes, repeats


def _write_repeated(tokens: NDArray[Any], place: Integers, classes: Integers, repeats: Integers) -> None:
    some = repeats > 0
    tokens[place[some]] = classes[some]
    many = np.flatnonzero(repeats > 1)
    times = repeats[many]
    within = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)
    tokens[np.repeat(place[many], times) + within] = np.repeat(classes[many], times)
