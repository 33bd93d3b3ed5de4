"""The generative process as tables: all that sampling and the oracle need to know.

Notation as in ``docs/synthetic.md``: S sites, K states, P places, Q concepts, C codes.
"""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from simulations.synthetic.concepts import Move, Place
from simulations.synthetic.parameters import HospitalParameters, parameters_of
from wardlaw.errors import ConfigError, DataError
from wardlaw.files import write_atomically, write_text_atomically

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

GENERATOR_FILE = "generator.json"
PROCESS_FILE = "process.safetensors"
NOTICE = "Generated patients: no record of any person. Codes are labels without clinical meaning."
GENDERS = ("GENDER//F", "GENDER//M")
RACES = ("RACE//ASIAN", "RACE//BLACK", "RACE//HISPANIC", "RACE//OTHER", "RACE//WHITE")
YOUNGEST, OLDEST = 18, 95
YEAR_MINUTES = 525_960  # 365.25 days

NEXT_PLACE: Ints = np.full((len(Place), len(Move)), -1)
"""Place after a move; -1 where the move is impossible."""
for _place, _move, _next in (
    (Place.NEW, Move.ADMIT, Place.WARD),
    (Place.HOME, Move.ADMIT, Place.WARD),
    (Place.WARD, Move.CLINICAL, Place.WARD),
    (Place.WARD, Move.DISCHARGE, Place.HOME),
    (Place.WARD, Move.ICU_IN, Place.ICU),
    (Place.WARD, Move.DIE, Place.GONE),
    (Place.ICU, Move.CLINICAL, Place.ICU),
    (Place.ICU, Move.ICU_OUT, Place.WARD),
    (Place.ICU, Move.DIE, Place.GONE),
    (Place.HOME, Move.END, Place.GONE),
    (Place.GONE, Move.END, Place.GONE),
):
    NEXT_PLACE[_place, _move] = _next


@dataclass(frozen=True)
class Process:
    """Tables of one generative process.

    Attributes
    ----------
    prevalence : (S, K)
        State of a patient's first event, and of a change of state without comorbidity.
    successors : (K, K)
        State after a change of state by comorbidity.
    comorbidity : ()
        Share of changes of state by comorbidity.
    persistence : (P,)
        Probability that the state does not change at an event, by the place before it.
    moves : (P, K, moves)
        What the event does, by the place before it and the state at it.
    concepts : (K, Q)
        Concept of the event given its move: the concepts of each move sum to one.
    habits : (S, C)
        Code of the event given its concept: the codes of each concept sum to one.
    code_concept : (C,) int64
    concept_move : (Q,) int64
    log_median, spread : (C,)
        Of the code's log-logistic value in its unit; spread 0 means no value.
    shift : (K, Q)
        Shift of the value's logarithm, in spreads.
    burst, gap_shape, gap_longest : (P,)
    gap_median : (P, K)
        Of the minutes since the event before, see ``simulations.synthetic.gaps``.
    genders, races, ages : (S, 2), (S, 5), (S, years)
        Of static facts, and of whole years of age at the first event.
    """

    prevalence: Floats
    successors: Floats
    comorbidity: Floats
    persistence: Floats
    moves: Floats
    concepts: Floats
    habits: Floats
    code_concept: Ints
    concept_move: Ints
    log_median: Floats
    spread: Floats
    shift: Floats
    burst: Floats
    gap_median: Floats
    gap_shape: Floats
    gap_longest: Floats
    genders: Floats
    races: Floats
    ages: Floats

    @property
    def sites(self) -> int:
        """Number of sites S."""
        return len(self.prevalence)

    @property
    def code_move(self) -> Ints:
        """Move of each code, (C,)."""
        return self.concept_move[self.code_concept]


@dataclass(frozen=True)
class Generator:
    """A process with the names of its codes and sites, as kept beside the data."""

    parameters: HospitalParameters
    process: Process
    codes: tuple[str, ...]
    sites: tuple[str, ...]


def site_names(sites: int) -> tuple[str, ...]:
    """Names of the hospitals, which sort in their order.

    Examples
    --------
    >>> site_names(2)
    ('hospital-00', 'hospital-01')
    """
    return tuple(f"hospital-{site:0{max(2, len(str(sites - 1)))}d}" for site in range(sites))


def describe_generator(generator: Generator) -> dict[str, Any]:
    """All but the tables, for a JSON file."""
    return {
        "synthetic": True,
        "notice": NOTICE,
        "parameters": generator.parameters.model_dump(by_alias=True),
        "sites": list(generator.sites),
        "codes": list(generator.codes),
    }


def save_generator(folder: Path, generator: Generator) -> None:
    """Write ``process.safetensors`` and then ``generator.json``.

    The tables are kept, not only the seed, so that the oracle stays exact for data made
    with another version of NumPy or of the concepts.
    """
    tables = {
        item.name: np.asarray(getattr(generator.process, item.name), order="C") for item in fields(Process)
    }
    write_atomically(folder / PROCESS_FILE, lambda path: save_file(tables, path))
    write_text_atomically(folder / GENERATOR_FILE, json.dumps(describe_generator(generator), indent=2) + "\n")


def load_generator(folder: Path) -> Generator:
    """Read what `save_generator` wrote.

    Raises
    ------
    DataError
        If the folder does not hold synthetic hospitals of this version.
    """
    try:
        described = json.loads((folder / GENERATOR_FILE).read_text(encoding="utf-8"))
        parameters = parameters_of(described["parameters"], GENERATOR_FILE)
        process = Process(**load_file(folder / PROCESS_FILE))
        return Generator(parameters, process, tuple(described["codes"]), tuple(described["sites"]))
    except (OSError, ValueError, KeyError, TypeError, SafetensorError, ConfigError) as error:
        raise DataError(
            f"not a folder of synthetic hospitals ({type(error).__name__})",
            where=str(folder / GENERATOR_FILE),
            remedy="Make one with `wardlaw simulate hospitals`",
        ) from None
