"""What a sequence of tokens says: the tokeniser's inverse, up to bins and interval classes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from wardlaw.vocabulary.hierarchy import TAIL, join_units
from wardlaw.vocabulary.intervals import INTERVALS
from wardlaw.vocabulary.vocabulary import BIN_TOKENS, SPECIAL, Vocabulary

_INTERVAL_NAMES = frozenset(interval.name for interval in INTERVALS)


@dataclass(frozen=True)
class Event:
    """An event: its code or the ancestor that stands for it, and the bin of its value (from 0)."""

    code: str
    bin: int | None = None


@dataclass(frozen=True)
class Interval:
    """Time that passes: the name of its class."""

    name: str


@dataclass(frozen=True)
class Marker:
    """A special token."""

    name: str


def decode(vocabulary: Vocabulary, tokens: Iterable[int]) -> Iterator[Event | Interval | Marker]:
    """Read tokens as events, intervals and markers.

    Parameters
    ----------
    vocabulary : Vocabulary
    tokens : iterable of int
        Ids; any sequence, a model's own included. A bin or a code's continuation that
        nothing precedes is left out, since it says nothing.

    Yields
    ------
    Event, Interval or Marker
    """
    names = (vocabulary.tokens[token] for token in tokens)
    if vocabulary.scheme == "fused":
        return map(_fused, names)
    return _grouped(names)


def _fused(name: str) -> Event | Marker:
    if name in SPECIAL:
        return Marker(name)
    code, _, bin_name = name.rpartition("//")
    return Event(code, BIN_TOKENS.index(bin_name)) if bin_name in BIN_TOKENS else Event(name)


def _grouped(names: Iterable[str]) -> Iterator[Event | Interval | Marker]:
    units: list[str] = []
    for name in names:
        if name.startswith(TAIL) and units:
            units.append(name)
            continue
        if name in BIN_TOKENS and units:
            yield Event(join_units(tuple(units)), BIN_TOKENS.index(name))
            units = []
            continue
        if units:
            yield Event(join_units(tuple(units)))
            units = []
        if name in SPECIAL:
            yield Marker(name)
        elif name in _INTERVAL_NAMES:
            yield Interval(name)
        elif name not in BIN_TOKENS and not name.startswith(TAIL):
            units = [name]
    if units:
        yield Event(join_units(tuple(units)))
