"""Draws a process from its parameters: Zipf prevalence, concepts of a state, habits of a site."""

import numpy as np

from simulations.synthetic.concepts import Concept, Move, Place, all_concepts
from simulations.synthetic.parameters import HospitalParameters
from simulations.synthetic.process import (
    GENDERS,
    OLDEST,
    YOUNGEST,
    Floats,
    Generator,
    Process,
    site_names,
)
from wardlaw.seeds import generator as stream

# Share of clinical events by kind; concepts of its own that a state has of each kind.
_KINDS = {
    "lab": (0.40, 4),
    "vital": (0.16, 2),
    "medication": (0.24, 4),
    "diagnosis": (0.14, 2),
    "procedure": (0.06, 1),
}
_SUCCESSORS = 4
_HABIT_FLOOR = 0.02
"""Share of each concept's codes that is uniform, so that no site never uses a synonym."""
_HOUR, _DAY = 60.0, 1440.0


def build_generator(parameters: HospitalParameters, concepts: tuple[Concept, ...] | None = None) -> Generator:
    """Process of these parameters, over the project's concepts or others."""
    concepts = concepts or all_concepts()
    codes = tuple(code for concept in concepts for code in concept.codes)
    return Generator(parameters, build_process(parameters, concepts), codes, site_names(parameters.sites))


def build_process(parameters: HospitalParameters, concepts: tuple[Concept, ...]) -> Process:
    """Draw all tables; each has its own stream, so that one setting changes only its own table."""
    seed, states = parameters.seed, parameters.states
    own = [_own_concepts(parameters, concepts, state) for state in range(states)]
    concept_move = np.array([concept.move for concept in concepts])
    sizes = [len(concept.codes) for concept in concepts]
    shift = stream(seed, "process", "shift").normal(0, parameters.value_shift, (states, len(concepts)))
    return Process(
        prevalence=_prevalence(parameters),
        successors=_successors(parameters),
        comorbidity=np.array(parameters.comorbidity),
        persistence=_by_place(
            ward=parameters.persistence, icu=parameters.persistence, home=parameters.readmission_persistence
        ),
        moves=_moves(parameters),
        concepts=_concept_shares(parameters, concepts, own),
        habits=_habits(parameters, sizes),
        code_concept=np.repeat(np.arange(len(concepts)), sizes),
        concept_move=concept_move,
        log_median=np.concatenate([_log_medians(concept) for concept in concepts]),
        spread=np.repeat([concept.spread for concept in concepts], sizes),
        shift=np.where([[concept in mine for concept in range(len(concepts))] for mine in own], shift, 0.0),
        burst=_by_place(ward=0.55, icu=0.5),
        gap_median=_gap_medians(parameters),
        gap_shape=_by_place(ward=1.8, icu=1.8, home=1.5, other=1.0),
        gap_longest=_by_place(ward=4 * _DAY, icu=_DAY, home=5 * 365 * _DAY, other=1.0),
        genders=_site_shares(parameters, "gender", np.full(len(GENDERS), 50.0)),
        races=_site_shares(parameters, "race", np.array([1.0, 2.0, 2.0, 1.0, 6.0])),
        ages=_ages(parameters),
    )


def _prevalence(parameters: HospitalParameters) -> Floats:
    common = _zipf(parameters.states, parameters.prevalence_exponent)
    noise = stream(parameters.seed, "process", "case-mix").normal(size=(parameters.sites, parameters.states))
    return _normalised(common * np.exp(parameters.case_mix * noise))


def _successors(parameters: HospitalParameters) -> Floats:
    rng, states = stream(parameters.seed, "process", "successors"), parameters.states
    common = _normalised(_zipf(states, parameters.prevalence_exponent))
    rows = np.zeros((states, states))
    for row in rows:
        chosen = rng.choice(states, min(_SUCCESSORS, states), replace=False, p=common)
        row[chosen] = rng.dirichlet(np.ones(len(chosen)))
    return rows


def _own_concepts(
    parameters: HospitalParameters, concepts: tuple[Concept, ...], state: int
) -> dict[int, float]:
    """Concepts of a state and their weights, which sum to one for each kind."""
    rng = stream(parameters.seed, "process", "own-concepts", state)
    own: dict[int, float] = {}
    for kind, (_, count) in _KINDS.items():
        of_kind = np.flatnonzero([concept.kind == kind for concept in concepts])
        if len(of_kind):
            chosen = rng.permutation(of_kind)[:count]
            own |= dict(
                zip(chosen.tolist(), _normalised(1 / np.arange(1, len(chosen) + 1)).tolist(), strict=True)
            )
    return own


def _concept_shares(
    parameters: HospitalParameters, concepts: tuple[Concept, ...], own: list[dict[int, float]]
) -> Floats:
    rng = stream(parameters.seed, "process", "concepts")
    shares = np.zeros((parameters.states, len(concepts)))
    kinds = np.array([concept.kind for concept in concepts])
    present = [kind for kind in _KINDS if kind in kinds]
    usual = np.array([_KINDS[kind][0] for kind in present])
    kind_shares = _normalised(usual * np.exp(rng.normal(0, 0.4, (parameters.states, len(present)))))
    for column, kind in enumerate(present):
        of_kind = np.flatnonzero(kinds == kind)
        common = np.zeros(len(concepts))
        common[of_kind] = _normalised(1 / np.arange(1.0, len(of_kind) + 1))[rng.permutation(len(of_kind))]
        for state, mine in enumerate(own):
            specific = np.zeros(len(concepts))
            chosen = [concept for concept in mine if kinds[concept] == kind]
            specific[chosen] = [mine[concept] for concept in chosen]
            mixed = parameters.specificity * specific + (1 - parameters.specificity) * common
            shares[state] += kind_shares[state, column] * mixed
    moving = np.array([concept.move for concept in concepts])
    for move in set(moving.tolist()) - {Move.CLINICAL}:
        of_move = np.flatnonzero(moving == move)
        shares[:, of_move] = rng.dirichlet(np.full(len(of_move), 0.5), parameters.states)
    return shares


def _habits(parameters: HospitalParameters, sizes: list[int]) -> Floats:
    rng = stream(parameters.seed, "process", "habits")
    columns = [
        rng.dirichlet(np.full(size, parameters.coding_concentration), parameters.sites) for size in sizes
    ]
    floors = [np.full((parameters.sites, size), 1 / size) for size in sizes]
    return (1 - _HABIT_FLOOR) * np.hstack(columns) + _HABIT_FLOOR * np.hstack(floors)


def _moves(parameters: HospitalParameters) -> Floats:
    rng = stream(parameters.seed, "process", "moves")

    def rate(typical: float) -> Floats:
        odds = typical / (1 - typical) * np.exp(parameters.frailty * rng.normal(size=parameters.states))
        return np.asarray(odds / (1 + odds))

    moves = np.zeros((len(Place), parameters.states, len(Move)))
    moves[Place.NEW, :, Move.ADMIT] = moves[Place.GONE, :, Move.END] = 1
    moves[Place.HOME, :, Move.END] = rate(parameters.last_stay)
    moves[Place.HOME, :, Move.ADMIT] = 1 - moves[Place.HOME, :, Move.END]
    rates = {
        (Place.WARD, Move.DISCHARGE): parameters.discharge_rate,
        (Place.WARD, Move.ICU_IN): parameters.icu_rate,
        (Place.WARD, Move.DIE): parameters.death_rate,
        (Place.ICU, Move.ICU_OUT): parameters.icu_discharge_rate,
        (Place.ICU, Move.DIE): parameters.icu_death_rate,
    }
    for (place, move), typical in rates.items():
        moves[place, :, move] = rate(typical)
    for place in (Place.WARD, Place.ICU):
        moves[place, :, Move.CLINICAL] = 1.0
        moves[place] = _normalised(moves[place])
    return moves


def _gap_medians(parameters: HospitalParameters) -> Floats:
    rng = stream(parameters.seed, "process", "gaps")
    typical = _by_place(ward=1.5 * _HOUR, icu=0.7 * _HOUR, home=40 * _DAY, other=1.0)
    scale = _by_place(ward=0.6, icu=0.6, home=1.0)
    return np.asarray(
        typical[:, None] * np.exp(scale[:, None] * rng.normal(size=(len(Place), parameters.states)))
    )


def _site_shares(parameters: HospitalParameters, name: str, concentration: Floats) -> Floats:
    return stream(parameters.seed, "process", name).dirichlet(concentration, parameters.sites)


def _ages(parameters: HospitalParameters) -> Floats:
    """Discretised normal ages, with another mean at every site."""
    years = np.arange(YOUNGEST, OLDEST)
    mean = stream(parameters.seed, "process", "age").normal(62, 5, (parameters.sites, 1))
    return _normalised(np.exp(-0.5 * ((years - mean) / 17) ** 2))


def _log_medians(concept: Concept) -> Floats:
    return (
        np.log(concept.median * np.array(concept.factors)) if concept.spread else np.zeros(len(concept.codes))
    )


def _by_place(*, ward: float = 0.0, icu: float = 0.0, home: float = 0.0, other: float = 0.0) -> Floats:
    values = np.full(len(Place), other)
    values[[Place.WARD, Place.ICU, Place.HOME]] = ward, icu, home
    return values


def _zipf(count: int, exponent: float) -> Floats:
    return np.asarray(np.arange(1.0, count + 1) ** -exponent)


def _normalised(weights: Floats) -> Floats:
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))
