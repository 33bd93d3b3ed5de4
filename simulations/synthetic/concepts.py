"""Clinical concepts of the synthetic hospitals and the codes by which sites record them."""

import tomllib
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from importlib import resources
from typing import Any


class Move(IntEnum):
    """What an event does to where the patient is."""

    CLINICAL = 0
    ADMIT = 1
    DISCHARGE = 2
    ICU_IN = 3
    ICU_OUT = 4
    DIE = 5
    END = 6


class Place(IntEnum):
    """Where the patient is; every event up to now says it."""

    NEW = 0
    WARD = 1
    ICU = 2
    HOME = 3
    GONE = 4


@dataclass(frozen=True)
class Concept:
    """Something that can be recorded.

    Attributes
    ----------
    move : Move
    kind : str
        Table that it would come from, e.g. ``lab``; the place's name for moves.
    codes : tuple of str
        Synonyms.
    factors : tuple of float
        What each synonym's unit multiplies the value by.
    median, spread : float
        Typical value and scale of its logarithm; 0 for a concept without a value.
    """

    move: Move
    kind: str
    codes: tuple[str, ...]
    factors: tuple[float, ...] = ()
    median: float = 0.0
    spread: float = 0.0


_PREFIXES = {
    "diagnosis": "DIAGNOSIS//ICD//10//",
    "medication": "MEDICATION//ATC//",
    "procedure": "PROCEDURE//ICD//10//",
    "lab": "LAB//",
    "vital": "VITAL//",
}
_MOVES = {
    Move.ADMIT: ("EMERGENCY", "URGENT", "ELECTIVE", "OBSERVATION"),
    Move.DISCHARGE: ("HOME", "HOME_HEALTH_CARE", "SKILLED_NURSING_FACILITY", "REHABILITATION", "HOSPICE"),
    Move.ICU_IN: ("MICU", "SICU", "CCU", "NEURO_ICU"),
    Move.ICU_OUT: ("WARD",),
    Move.DIE: ("",),
}
_EVENTS = {
    Move.ADMIT: "HOSPITAL_ADMISSION//",
    Move.DISCHARGE: "HOSPITAL_DISCHARGE//",
    Move.ICU_IN: "ICU_ADMISSION//",
    Move.ICU_OUT: "ICU_DISCHARGE//",
    Move.DIE: "MEDS_DEATH",
}


@cache
def all_concepts() -> tuple[Concept, ...]:
    """Concepts of ``concepts.toml`` in its order, then those that move the patient."""
    text = (resources.files("simulations.synthetic") / "concepts.toml").read_text(encoding="utf-8")
    clinical = [_clinical(kind, entry) for kind, entries in tomllib.loads(text).items() for entry in entries]
    moving = [
        Concept(move, move.name.lower(), (f"{_EVENTS[move]}{name}",))
        for move, names in _MOVES.items()
        for name in names
    ]
    return (*clinical, *moving)


def _clinical(kind: str, entry: str | dict[str, Any]) -> Concept:
    prefix = _PREFIXES[kind]
    if isinstance(entry, str):
        return Concept(Move.CLINICAL, kind, tuple(prefix + code for code in entry.split()))
    codes: dict[str, float] = entry["codes"]
    return Concept(
        Move.CLINICAL,
        kind,
        tuple(prefix + code for code in codes),
        tuple(codes.values()),
        entry["median"],
        entry["spread"],
    )
