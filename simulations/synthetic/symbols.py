"""What a tokeniser can tell apart: the oracle's alphabet and each symbol's probability.

A symbol is the tokens of an event without its time: codes that the vocabulary writes alike
are one symbol, a code with quantile edges is one symbol a bin. The token sequence of a
timeline and its sequence of (symbol, gap class) determine each other, so both have the
same probability.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulations.synthetic.concepts import Place
from simulations.synthetic.gaps import gap_distribution
from simulations.synthetic.process import GENDERS, RACES, YEAR_MINUTES, YOUNGEST, Floats, Generator, Ints
from wardlaw.errors import DataError
from wardlaw.vocabulary import INTERVALS, EventCode, Vocabulary

BIRTH = "MEDS_BIRTH"
_HALF_YEAR = INTERVALS[-1].lower


@dataclass(frozen=True)
class Symbols:
    """Alphabet of one vocabulary over one process.

    Attributes
    ----------
    edges : (C, 9)
        Of each code's bins, padded with infinity.
    first : (C,) int64
        Place in ``number`` of each code's first bin.
    number : (code bins,) int64
        Symbol of each bin of each code.
    probability : (symbols, S, K)
        Of the symbol given its move; one minus nothing: the symbols of a move sum to one.
    move : (symbols,) int64
    tokens : (symbols,) int64
        Tokens that write the symbol.
    gap_edges : (classes - 1,)
        Least minutes of each class of gaps but the first, which has no token.
    gap_probability : (classes, P, K)
    gap_tokens : (classes,) int64
    """

    edges: Floats
    first: Ints
    number: Ints
    probability: Floats
    move: Ints
    tokens: Ints
    gap_edges: Floats
    gap_probability: Floats
    gap_tokens: Ints

    def of_events(self, codes: Ints, values: Floats | NDArray[np.float32]) -> Ints:
        """Symbol of each event; NaN where it has no value."""
        # Padding is infinite and compares as above every value, as do all edges with NaN.
        bins = (self.edges[codes] < values[:, None]).sum(axis=1)
        return np.asarray(self.number[self.first[codes] + bins])

    def of_gaps(self, minutes: Ints) -> Ints:
        """Class of each gap."""
        return np.searchsorted(self.gap_edges, minutes, side="right")


def build_symbols(generator: Generator, vocabulary: Vocabulary) -> Symbols:
    """Alphabet that a vocabulary makes of a process.

    Raises
    ------
    DataError
        If it writes events alike of which one moves the patient and the other does not:
        then what was seen does not say where the patient is.
    """
    process = generator.process
    written = [vocabulary.encode(code) for code in generator.codes]
    edges = _padded_edges(written)
    sizes = np.array([len(code.edges) + 1 for code in written])
    code_of_bin = np.repeat(np.arange(len(written)), sizes)
    keys = [key for code in written for key in _keys(code, vocabulary.scheme)]
    known = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    number = np.array([known[key] for key in keys])
    move = np.full(len(known), -1)
    move[number] = process.code_move[code_of_bin]
    if (move[number] != process.code_move[code_of_bin]).any():
        alike = sorted(
            {generator.codes[code] for code in code_of_bin[move[number] != process.code_move[code_of_bin]]}
        )
        raise DataError(
            f"the vocabulary writes {alike[0]} like a code that leads to another place",
            remedy="Fit it on more patients, so that admissions and discharges are admitted",
        )
    first = np.cumsum(sizes) - sizes
    bin_of = np.arange(len(code_of_bin)) - first[code_of_bin]
    concept = process.code_concept[code_of_bin]
    probability = np.zeros((len(known), process.sites, process.concepts.shape[0]))
    in_bin = _bin_probability(generator, edges, code_of_bin, bin_of)
    np.add.at(
        probability,
        number,
        process.habits[:, code_of_bin].T[:, :, None] * (process.concepts[:, concept].T * in_bin)[:, None, :],
    )
    gap_edges = _gap_edges(float(process.gap_longest.max()))
    gap_tokens = np.minimum(np.arange(len(gap_edges) + 1), 1)
    gap_tokens[len(INTERVALS) :] = 1 + np.arange(len(gap_tokens) - len(INTERVALS))
    return Symbols(
        edges=edges,
        first=first,
        number=number,
        probability=probability,
        move=move,
        tokens=np.array([len(key) for key in known]),
        gap_edges=gap_edges,
        gap_probability=_gap_probability(generator, gap_edges),
        gap_tokens=gap_tokens if vocabulary.scheme == "ethos" else np.zeros_like(gap_tokens),
    )


@dataclass(frozen=True)
class Statics:
    """Probabilities of what stands before the first timed event.

    Attributes
    ----------
    genders, races : (2, S), (5, S)
        Of the tokens of each gender and race (of all that are written alike).
    ages : (bins, S)
    age_edges : (bins - 1,)
        In years.
    tokens : int
        Tokens of the three static events together.
    """

    genders: Floats
    races: Floats
    ages: Floats
    age_edges: Floats
    tokens: int


def build_statics(generator: Generator, vocabulary: Vocabulary) -> Statics:
    """Probabilities of static tokens, by site."""
    process, birth = generator.process, vocabulary.encode(BIRTH)
    edges = np.array(birth.edges, dtype=np.float32).astype(np.float64)
    younger = np.array([_age_distribution(process.ages, edge) for edge in edges]).reshape(
        len(edges), process.sites
    )
    bounds = np.vstack([np.zeros(process.sites), younger, np.ones(process.sites)])
    lengths = [
        len(_keys(vocabulary.encode(code), vocabulary.scheme)[0]) for code in (GENDERS[0], RACES[0], BIRTH)
    ]
    return Statics(
        genders=_alike(GENDERS, process.genders, vocabulary),
        races=_alike(RACES, process.races, vocabulary),
        ages=np.diff(bounds, axis=0),
        age_edges=edges,
        tokens=sum(lengths),
    )


def _keys(code: EventCode, scheme: str) -> list[tuple[int, ...]]:
    """Tokens of each bin of a code."""
    if not code.edges:
        return [code.tokens]
    bins = range(code.first_bin, code.first_bin + len(code.edges) + 1)
    return [(*code.tokens, token) if scheme == "ethos" else (token,) for token in bins]


def _padded_edges(written: list[EventCode]) -> Floats:
    edges = np.full((len(written), 9), np.inf)
    for row, code in zip(edges, written, strict=True):
        # The tokeniser compares float32 values with float32 edges.
        row[: len(code.edges)] = np.array(code.edges, dtype=np.float32)
    return edges


def _bin_probability(generator: Generator, edges: Floats, code: Ints, bin_of: Ints) -> Floats:
    """Probability of a value in each bin of each code, by state: (code bins, K)."""
    process = generator.process
    spread = process.spread[code]
    # A code without value has one bin, from minus to plus infinity.
    padded = np.hstack([np.full((len(edges), 1), -np.inf), edges])
    lower, upper = padded[code, bin_of], padded[code, np.minimum(bin_of + 1, padded.shape[1] - 1)]
    upper = np.where(bin_of + 1 == padded.shape[1], np.inf, upper)

    def scaled(value: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = (np.log(np.maximum(value, 0)) - process.log_median[code]) / spread
        distance = np.where(spread > 0, distance, np.sign(value) * np.inf)
        return np.asarray(distance[:, None] - process.shift[:, process.code_concept[code]].T)

    low, high = scaled(lower), scaled(upper)
    # In the upper tail the difference of the complements loses no digits.
    return np.where(low > 0, _logistic(-low) - _logistic(-high), _logistic(high) - _logistic(low))


def _logistic(x: Floats) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


def _gap_edges(longest: float) -> Floats:
    """Least minutes of each class; the last class is repeated for every whole six months."""
    repeats = np.arange(2, int(longest) // _HALF_YEAR + 2) * _HALF_YEAR
    return np.array([*(interval.lower for interval in INTERVALS), *repeats], dtype=np.float64)


def _gap_probability(generator: Generator, edges: Floats) -> Floats:
    process = generator.process
    below = gap_distribution(
        np.maximum(edges - 1, 0)[:, None, None],
        process.burst[:, None],
        process.gap_median,
        process.gap_shape[:, None],
        process.gap_longest[:, None],
    )
    ones = np.ones((1, *process.gap_median.shape))
    table = np.diff(np.concatenate([0 * ones, below, ones]), axis=0)
    # The first event has no event before it, and an end has no time.
    table[:, [Place.NEW, Place.GONE]] = 0
    table[0, [Place.NEW, Place.GONE]] = 1
    return np.asarray(table)


def _age_distribution(ages: Floats, years: float) -> Floats:
    """Probability, by site, of an age of at most so many years: whole minutes, uniform within a year."""
    near = np.floor(years * YEAR_MINUTES) + np.arange(-8, 9)
    # Ages are compared as the float32 years that the tokeniser reads.
    minutes = near[(near / YEAR_MINUTES).astype(np.float32) <= years].max()
    share = np.clip((minutes + 1) / YEAR_MINUTES - YOUNGEST - np.arange(ages.shape[1]), 0, 1)
    return np.asarray(ages @ share)


def _alike(codes: tuple[str, ...], shares: Floats, vocabulary: Vocabulary) -> Floats:
    tokens = [vocabulary.encode(code).tokens for code in codes]
    same = np.array([[mine == other for other in tokens] for mine in tokens])
    return np.asarray(same @ shares.T)
