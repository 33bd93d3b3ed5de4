"""Samples timelines of many patients at once, one event of each patient a step."""

from dataclasses import dataclass

import numpy as np

from simulations.synthetic.concepts import Move, Place
from simulations.synthetic.gaps import sample_gaps
from simulations.synthetic.process import NEXT_PLACE, YEAR_MINUTES, YOUNGEST, Floats, Ints, Process

END = -1
"""Code of the step that ends a timeline; it makes no row."""


@dataclass(frozen=True)
class Timelines:
    """Events of n patients of one site; patients are contiguous, events in their order.

    Attributes
    ----------
    patient : (events,) int64
        Index in 0..n-1, ascending.
    code : (events,) int64
        Place in the generator's codes.
    minutes : (events,) int64
        Since the patient's first event; strictly increasing within a patient.
    value : (events,) float32
        NaN where the code has no value.
    state : (events,) int64
        The latent state, which no file holds.
    gender, race : (n,) int64
    age : (n,) int64
        Minutes from birth to the first event.
    """

    patient: Ints
    code: Ints
    minutes: Ints
    value: np.ndarray[tuple[int], np.dtype[np.float32]]
    state: Ints
    gender: Ints
    race: Ints
    age: Ints


def sample_timelines(process: Process, site: int, patients: int, rng: np.random.Generator) -> Timelines:
    """Timelines of a site's patients, to their ends."""
    draw_state = _Categorical(process.prevalence[site])
    draw_successor, draw_move = _Categorical(process.successors), _Categorical(process.moves)
    draw_concept = {
        move: _Categorical(_given_move(process, move)) for move in set(process.concept_move.tolist())
    }
    draw_code = _Categorical(_codes_by_concept(process, site))
    first_code = np.searchsorted(process.code_concept, np.arange(len(process.concept_move)))

    patient = np.arange(patients)
    place, minutes = np.full(patients, Place.NEW), np.zeros(patients, dtype=np.int64)
    state = draw_state(rng, np.zeros(patients, dtype=np.int64))
    steps: list[tuple[Ints, ...]] = []
    while len(patient):
        if steps:
            changed = rng.random(len(patient)) >= process.persistence[place]
            drawn = np.where(
                rng.random(len(patient)) < process.comorbidity,
                draw_successor(rng, state),
                draw_state(rng, np.zeros_like(state)),
            )
            state = np.where(changed, drawn, state)
            minutes = minutes + sample_gaps(
                rng,
                process.burst[place],
                process.gap_median[place, state],
                process.gap_shape[place],
                process.gap_longest[place],
            )
        move = draw_move(rng, place * process.moves.shape[1] + state)
        going = move != Move.END
        patient, place, state, move, minutes = (a[going] for a in (patient, place, state, move, minutes))
        concept = np.zeros_like(state)
        for each, draw in draw_concept.items():
            chosen = move == each
            concept[chosen] = draw(rng, state[chosen])
        code = first_code[concept] + draw_code(rng, concept)
        steps.append((patient, code, minutes, state))
        place = NEXT_PLACE[place, move]
    patient, code, minutes, state = (np.concatenate(column) for column in zip(*steps, strict=True))
    order = np.argsort(patient, kind="stable")
    patient, code, minutes, state = patient[order], code[order], minutes[order], state[order]
    years = YOUNGEST + _Categorical(process.ages[site])(rng, np.zeros(patients, dtype=np.int64))
    return Timelines(
        patient,
        code,
        minutes,
        _values(process, code, state, rng),
        state,
        gender=_Categorical(process.genders[site])(rng, np.zeros(patients, dtype=np.int64)),
        race=_Categorical(process.races[site])(rng, np.zeros(patients, dtype=np.int64)),
        age=years * YEAR_MINUTES + rng.integers(0, YEAR_MINUTES, patients),
    )


class _Categorical:
    """Draws from the rows of a table of probabilities, each row in one binary search."""

    def __init__(self, probabilities: Floats) -> None:
        rows = np.atleast_2d(probabilities.reshape(-1, probabilities.shape[-1]))
        self.width = rows.shape[1]
        cumulative = np.cumsum(rows, axis=1)
        # Row r takes the range r..r+1 of one ascending array.
        self.ascending = (cumulative / cumulative[:, -1:] + np.arange(len(rows))[:, None]).ravel()
        self.last = self.width - 1 - np.argmax(rows[:, ::-1] > 0, axis=1)

    def __call__(self, rng: np.random.Generator, rows: Ints) -> Ints:
        places = np.searchsorted(self.ascending, rows + rng.random(len(rows)), side="right")
        # Rounding may carry a draw over the row's end.
        return np.asarray(np.minimum(places - rows * self.width, self.last[rows]))


def _given_move(process: Process, move: int) -> Floats:
    return np.where(process.concept_move == move, process.concepts, 0.0)


def _codes_by_concept(process: Process, site: int) -> Floats:
    """Habits of a site as a table (Q, most synonyms)."""
    concepts = len(process.concept_move)
    first = np.searchsorted(process.code_concept, np.arange(concepts))
    within = np.arange(len(process.code_concept)) - first[process.code_concept]
    table = np.zeros((concepts, within.max() + 1))
    table[process.code_concept, within] = process.habits[site]
    return table


def _values(
    process: Process, code: Ints, state: Ints, rng: np.random.Generator
) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    values = np.full(len(code), np.nan, dtype=np.float32)
    valued = process.spread[code] > 0
    code, state = code[valued], state[valued]
    noise = rng.logistic(size=len(code)) + process.shift[state, process.code_concept[code]]
    values[valued] = np.exp(process.log_median[code] + process.spread[code] * noise)
    return values
