"""``Vocabulary``: admitted units and quantile edges, and the token ids that follow from them."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from math import isfinite
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from wardlaw.errors import ShardError
from wardlaw.files import write_text_atomically
from wardlaw.vocabulary.hierarchy import TAIL, Scheme, encodings, kind_of
from wardlaw.vocabulary.intervals import INTERVALS

FORMAT = "wardlaw-vocabulary-1"
PAD, UNKNOWN, START, END = "[PAD]", "[UNK]", "[START]", "[END]"
SPECIAL = (PAD, UNKNOWN, START, END)
BINS = 10
BIN_TOKENS = tuple(f"_Q{number}" for number in range(1, BINS + 1))


@dataclass(frozen=True)
class EventCode:
    """How events of one code are written.

    Attributes
    ----------
    tokens : tuple of int
        Ids of an event without value.
    edges : tuple of float
        Bin ``b`` of a value is the number of edges below it; none where the code's values
        have no token.
    first_bin : int
        Id of bin 0. ``ethos`` appends ``first_bin + b`` to ``tokens``; ``fused`` writes it instead.
    depth : int
        0 if the code is written whole, otherwise the number of steps to the ancestor that is.
    is_unknown : bool
        Whether nothing is left of the code but its kind.
    """

    tokens: tuple[int, ...]
    edges: tuple[float, ...]
    first_bin: int
    depth: int
    is_unknown: bool


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of a federation.

    Attributes
    ----------
    scheme : {"ethos", "fused"}
    codes : tuple of str
        Admitted units (see ``wardlaw.vocabulary.hierarchy``), sorted by code point.
    edges : mapping of str to tuple of float
        Ascending quantile edges of each whole code whose values have bins: at most nine.
        ``MEDS_BIRTH`` has as its value the patient's age in years at the first timed event.

    Raises
    ------
    ShardError
        If the parts do not make a vocabulary.
    """

    scheme: Scheme
    codes: tuple[str, ...]
    edges: Mapping[str, tuple[float, ...]] = field(hash=False)

    def __post_init__(self) -> None:
        if problem := _problem(self):
            raise ShardError(f"not a vocabulary: {problem}", remedy="Fit it again")
        object.__setattr__(self, "edges", MappingProxyType(dict(sorted(self.edges.items()))))

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """Token strings by id: special ones, then intervals and bins (``ethos``), then codes."""
        if self.scheme == "ethos":
            return (*SPECIAL, *(interval.name for interval in INTERVALS), *BIN_TOKENS, *self.codes)
        return (*SPECIAL, *(token for code in self.codes for token in self._fused_tokens(code)))

    @cached_property
    def ids(self) -> Mapping[str, int]:
        """Id of each token string."""
        return {token: number for number, token in enumerate(self.tokens)}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @property
    def token_dtype(self) -> np.dtype[Any]:
        """Smallest unsigned type that shards keep ids in."""
        return np.dtype(np.uint16 if len(self) <= 2**16 else np.uint32)

    def encode(self, code: str) -> EventCode:
        """How events of ``code`` are written: by the finest encoding whose units are all admitted."""
        ways = encodings(self.scheme, code)
        for depth, units in enumerate(ways):
            if all(unit in self._units for unit in units):
                edges = self.edges.get(code, ()) if depth == 0 else ()
                tokens = tuple(self.ids[unit] for unit in units)
                first = BIN_TOKENS[0] if self.scheme == "ethos" else f"{units[0]}//{BIN_TOKENS[0]}"
                first_bin = self.ids[first] if edges else 0
                return EventCode(tokens, edges, first_bin, depth, is_unknown=depth == len(ways) - 1)
        return EventCode((self.ids[UNKNOWN],), (), 0, len(ways), is_unknown=True)

    def ids_of_kind(self, *kinds: str) -> NDArray[np.int64]:
        """Ids of tokens that begin an event whose code's first field is one of ``kinds``."""
        heads = range(len(SPECIAL), len(self)) if self.scheme == "fused" else self._code_ids
        found = [number for number in heads if kind_of(self.tokens[number]) in kinds]
        return np.array(found, dtype=np.int64)

    @cached_property
    def interval_minutes(self) -> NDArray[np.float32]:
        """Minutes that each token lets pass, 0 for all but interval tokens; shape (tokens,)."""
        minutes = np.zeros(len(self), dtype=np.float32)
        if self.scheme == "ethos":
            for interval in INTERVALS:
                minutes[self.ids[interval.name]] = interval.typical
        return minutes

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces, shortest exact numbers."""
        content = {
            "format": FORMAT,
            "scheme": self.scheme,
            "codes": self.codes,
            "edges": dict(self.edges),
        }
        return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)

    def save(self, path: Path) -> None:
        """Write the canonical JSON, whole or not at all."""
        write_text_atomically(path, self.to_json() + "\n")

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Read a fitted vocabulary, or a frozen public list of the same format.

        Raises
        ------
        ShardError
            If the file is absent or not a vocabulary.
        """
        try:
            return cls.from_json(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ShardError(f"no vocabulary ({type(error).__name__})", where=str(path)) from None
        except ShardError as error:
            raise ShardError(error.what, where=str(path), remedy=error.remedy) from None

    @classmethod
    def from_json(cls, text: str) -> "Vocabulary":
        """Vocabulary of its JSON; codes may stand in any order.

        Raises
        ------
        ShardError
            If the text is not a vocabulary.
        """
        try:
            content = json.loads(text)
            if content["format"] != FORMAT:
                raise ShardError(f"not a vocabulary: format {content['format']!r} is not {FORMAT!r}")
            edges = {code: tuple(float(edge) for edge in cuts) for code, cuts in content["edges"].items()}
            return cls(content["scheme"], tuple(sorted(content["codes"])), edges)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ShardError(
                f"not a vocabulary: {type(error).__name__} {error}", remedy="Fit it again"
            ) from None

    @cached_property
    def _units(self) -> frozenset[str]:
        return frozenset(self.codes)

    @cached_property
    def _code_ids(self) -> list[int]:
        first = len(self.tokens) - len(self.codes)
        return [first + place for place, code in enumerate(self.codes) if not code.startswith(TAIL)]

    def _fused_tokens(self, code: str) -> Iterable[str]:
        edges = self.edges.get(code, ())
        bins = (f"{code}//{BIN_TOKENS[b]}" for b in range(len(edges) + 1)) if edges else ()
        return (code, *bins)


def _problem(vocabulary: Vocabulary) -> str:
    """What is wrong with the parts of a vocabulary; empty if nothing is."""
    if vocabulary.scheme not in get_args(Scheme):
        return f"scheme {vocabulary.scheme!r} is not one of {', '.join(get_args(Scheme))}"
    if not all(isinstance(code, str) and code for code in vocabulary.codes):
        return "a code is not a text"
    if any(later <= earlier for earlier, later in pairwise(vocabulary.codes)):
        return "codes are not sorted and distinct"
    for code, edges in vocabulary.edges.items():
        if not 0 < len(edges) < BINS or not all(map(isfinite, edges)):
            return f"{code} has not 1 to {BINS - 1} finite edges"
        if any(later <= earlier for earlier, later in pairwise(edges)):
            return f"edges of {code} do not ascend"
        if vocabulary.scheme == "fused" and code not in vocabulary.codes:
            return f"{code} has edges but is not admitted"
    if len(set(vocabulary.tokens)) != len(vocabulary.tokens):
        return "two tokens have one name"
    return ""
