"""The oracle against enumeration of all latent paths, closed forms, the tokeniser and other predictors."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from client.ehr.shard import TokenShard, shard_folder
from client.ehr.tokenise import tokenise_root
from simulations.synthetic.build import build_generator
from simulations.synthetic.concepts import Concept, Move, Place, all_concepts
from simulations.synthetic.floor import estimate_floor, patient_nats
from simulations.synthetic.hospitals import write_hospitals
from simulations.synthetic.observe import observe_site
from simulations.synthetic.oracle import Observations, Oracle
from simulations.synthetic.parameters import HospitalParameters
from simulations.synthetic.process import GENDERS, NEXT_PLACE, RACES, YEAR_MINUTES, Generator
from simulations.synthetic.sample import Timelines, sample_timelines
from wardlaw.errors import DataError
from wardlaw.seeds import generator as stream
from wardlaw.vocabulary import Event, Interval, Marker, Vocabulary, decode
from wardlaw.vocabulary.hierarchy import encodings

CLINICAL = (
    Concept(Move.CLINICAL, "lab", ("LAB//1//mg", "LAB//2//mg"), (1.0, 10.0), 2.0, 0.3),
    Concept(Move.CLINICAL, "lab", ("LAB//3//mg",), (1.0,), 5.0, 0.2),
    Concept(Move.CLINICAL, "diagnosis", ("DIAGNOSIS//ICD//10//I509", "DIAGNOSIS//ICD//10//I5023")),
)
MOVING = tuple(concept for concept in all_concepts() if concept.move is not Move.CLINICAL)
SHORT = {
    "discharge_rate": 0.15,
    "icu_rate": 0.1,
    "icu_discharge_rate": 0.2,
    "death_rate": 0.02,
    "icu_death_rate": 0.05,
}


def small_generator(**settings: float) -> Generator:
    parameters = {"states": 3, "sites": 2, "patients": 40, "persistence": 0.8, **SHORT, **settings}
    return build_generator(HospitalParameters(**parameters), (*CLINICAL, *MOVING))


def vocabulary_of(generator: Generator, scheme: str, *, without: tuple[str, ...] = ()) -> Vocabulary:
    """All codes but some, with deciles of values as if no state shifted them."""
    codes = [*generator.codes, *GENDERS, *RACES, "MEDS_BIRTH"]
    units = {unit for code in codes if code not in without for unit in encodings(scheme, code)[0]}
    units |= {encodings(scheme, code)[-1][0] for code in without}
    edges = {"MEDS_BIRTH": (35.0, 55.5, 70.0)}
    process = generator.process
    for number, code in enumerate(generator.codes):
        if process.spread[number] and code not in without:
            odds = np.arange(1, 10) / np.arange(9, 0, -1)
            cuts = np.exp(process.log_median[number] + process.spread[number] * np.log(odds))
            edges[code] = tuple(cuts.astype(np.float32).astype(float).tolist())
    return Vocabulary(scheme, tuple(sorted(units)), edges)


def observe(oracle: Oracle, timelines: Timelines) -> Observations:
    """Observations without the detour through files, by decreasing length."""
    starts = np.searchsorted(timelines.patient, np.arange(len(timelines.age)))
    lengths = np.diff(np.append(starts, len(timelines.patient)))
    gaps = np.diff(timelines.minutes, prepend=0)
    gaps[starts] = 0
    order = np.argsort(-lengths, kind="stable")
    places = np.minimum(starts[order][:, None] + np.arange(lengths.max()), len(gaps) - 1)
    symbols = oracle.symbols.of_events(timelines.code, timelines.value)
    ages = (timelines.age / YEAR_MINUTES).astype(np.float32)
    return Observations(
        lengths[order],
        symbols[places],
        gaps[places],
        timelines.gender[order],
        timelines.race[order],
        (oracle.statics.age_edges < ages[order][:, None]).sum(axis=1),
    )


# ---- a reference that knows nothing of the implementation's tables of symbols ----


def log_logistic(x: float, median: float, shape: float) -> float:
    return 0.0 if x <= 0 else 1 / (1 + (x / median) ** -shape)


def minute_probability(process, place: int, state: int, minutes: int) -> float:
    median, shape, longest = (
        process.gap_median[place, state],
        process.gap_shape[place],
        process.gap_longest[place],
    )
    waited = log_logistic(min(minutes, longest), median, shape) - log_logistic(minutes - 1, median, shape)
    burst = process.burst[place]
    short = burst / 4 if minutes <= 4 else 0.0
    return short + (1 - burst) * max(waited, 0.0) / log_logistic(longest, median, shape)


ETHOS_LOWER = (5, 15, 60, 120, 360, 720, 1440, 4320, 10080, 20160, 43830, 131490, 262980)


def gap_likelihood(process, place: int, state: int, minutes: int, *, by_class: bool) -> float:
    """Probability of the minutes, or of all minutes that have the same interval tokens."""
    if not by_class:
        return minute_probability(process, place, state, minutes)
    half_year = ETHOS_LOWER[-1]
    bounds = [1, *ETHOS_LOWER, *(half_year * k for k in range(2, 12))]
    number = max(i for i, lower in enumerate(bounds) if lower <= minutes)
    low, high = bounds[number], bounds[number + 1]
    median, shape, longest = (
        process.gap_median[place, state],
        process.gap_shape[place],
        process.gap_longest[place],
    )
    waited = log_logistic(min(high - 1, longest), median, shape) - log_logistic(
        min(low - 1, longest), median, shape
    )
    short = process.burst[place] if number == 0 else 0.0
    return short + (1 - process.burst[place]) * waited / log_logistic(longest, median, shape)


def event_likelihood(generator, vocabulary, site, place, state, code, value) -> float:
    """Probability of all codes and values that are written like this one, with their move."""
    process = generator.process

    def written(number: int) -> tuple:
        return vocabulary.encode(generator.codes[number]).tokens

    total = 0.0
    move = process.code_move[code]
    for other in range(len(generator.codes)):
        if written(other) != written(code):
            continue
        assert process.code_move[other] == move
        concept = process.code_concept[other]
        probability = process.concepts[state, concept] * process.habits[site, other]
        if edges := vocabulary.encode(generator.codes[other]).edges:
            number = sum(edge < value for edge in edges)
            bounds = [-math.inf, *edges, math.inf]
            median = math.exp(
                process.log_median[other] + process.spread[other] * process.shift[state, concept]
            )
            shape = 1 / process.spread[other]
            high = 1.0 if number == len(edges) else log_logistic(bounds[number + 1], median, shape)
            probability *= high - log_logistic(bounds[number], median, shape)
        total += probability
    return total * process.moves[place, state, move]


def enumerated(generator, vocabulary, timelines: Timelines, patient: int) -> tuple[np.ndarray, np.ndarray]:
    """Joint probabilities (steps, S) of prefixes with and without the last event's unscored gap."""
    process, by_class = generator.process, vocabulary.scheme == "ethos"
    rows = np.flatnonzero(timelines.patient == patient)
    codes, values = timelines.code[rows], timelines.value[rows]
    gaps = np.diff(timelines.minutes[rows], prepend=0)
    places = [int(Place.NEW)]
    for code in codes:
        places.append(int(NEXT_PLACE[places[-1], process.code_move[code]]))
    scored, seen = np.zeros((len(rows) + 1, process.sites)), np.zeros((len(rows) + 1, process.sites))
    states = range(process.concepts.shape[0])
    for site in range(process.sites):
        events = [
            [event_likelihood(generator, vocabulary, site, place, state, code, value) for state in states]
            for place, code, value in zip(places[:-1], codes, values, strict=True)
        ]
        waits = [[1.0 for _ in states]] + [
            [gap_likelihood(process, place, state, int(gap), by_class=by_class) for state in states]
            for place, gap in zip(places[1:-1], gaps[1:], strict=True)
        ]
        for step in range(len(rows) + 1):
            for path in itertools.product(states, repeat=step + 1):
                probability, last = process.prevalence[site, path[0]], 1.0
                for t, state in enumerate(path):
                    if t > 0:
                        stay = process.persistence[places[t]]
                        jump = (
                            process.comorbidity * process.successors[path[t - 1], state]
                            + (1 - process.comorbidity) * process.prevalence[site, state]
                        )
                        probability *= stay * (path[t - 1] == state) + (1 - stay) * jump
                    if t == len(rows):
                        probability *= process.moves[places[t], state, Move.END]
                    elif t == step and not by_class:
                        probability, last = probability * events[t][state], waits[t][state]
                    else:
                        probability *= events[t][state] * waits[t][state]
                scored[step, site] += probability
                seen[step, site] += probability * last
    return scored, seen


@pytest.mark.parametrize("scheme", ["ethos", "fused"])
def test_every_prediction_equals_the_sum_over_all_latent_paths(scheme):
    generator = small_generator()
    vocabulary = vocabulary_of(generator, scheme, without=("LAB//2//mg", "DIAGNOSIS//ICD//10//I5023"))
    oracle = Oracle.of(generator, vocabulary)
    drawn = sample_timelines(generator.process, 1, 400, stream(3, "timelines"))
    counts = np.bincount(drawn.patient)
    returning = [
        p for p in np.flatnonzero(counts <= 6) if (np.diff(drawn.minutes[drawn.patient == p]) > 5000).any()
    ]
    valued = [
        p for p in np.flatnonzero(counts <= 6) if np.isfinite(drawn.value[drawn.patient == p]).sum() > 1
    ]
    chosen = [*returning[:2], *valued[:3]]
    assert len(chosen) == 5
    seen = observe(oracle, drawn)
    order = np.argsort(-counts, kind="stable")
    nats = oracle.nats(seen)
    for patient in chosen:
        row = int(np.flatnonzero(order == patient)[0])
        scored, with_gap = enumerated(generator, vocabulary, drawn, patient)
        age = drawn.age[patient] / YEAR_MINUTES
        bounds = [0.0, 35.0, 55.5, 70.0, 200.0]
        low, high = next((a, b) for a, b in itertools.pairwise(bounds) if a < age <= b)
        years = np.arange(18, 95)
        share = np.clip(high - years, 0, 1) - np.clip(low - years, 0, 1)
        process = generator.process
        static = process.genders[:, drawn.gender[patient]] * process.races[:, drawn.race[patient]]
        static = static * (process.ages @ share)
        steps = len(scored)
        known = np.vstack([-np.log(scored[:1]), -np.log(scored[1:] / with_gap[:-1])])
        np.testing.assert_allclose(nats.site_known[row, 1 : steps + 1], known, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(nats.site_known[row, 0], -np.log(static), rtol=1e-4)
        prior = static / 2
        mixed, mixed_with_gap = scored @ prior, with_gap @ prior
        unknown = [-math.log(mixed[0] / prior.sum()), *-np.log(mixed[1:] / mixed_with_gap[:-1])]
        # Ages are whole minutes, so the reference's static share is right to one minute in a year.
        np.testing.assert_allclose(nats.site_unknown[row, 1 : steps + 1], unknown, rtol=1e-5, atol=1e-12)
        assert nats.site_unknown[row, steps + 1 :].sum() == 0


def test_tables_of_probabilities_sum_to_one():
    generator = build_generator(HospitalParameters(states=20, sites=3))
    oracle = Oracle.of(generator, vocabulary_of(generator, "ethos", without=("LAB//51003//ng/mL",)))
    symbols = oracle.symbols
    for move in range(Move.END):
        np.testing.assert_allclose(symbols.probability[symbols.move == move].sum(axis=0), 1, atol=1e-12)
    np.testing.assert_allclose(symbols.gap_probability.sum(axis=0), 1, atol=1e-12)
    np.testing.assert_allclose(generator.process.moves.sum(axis=2), 1, atol=1e-12)
    for column in (oracle.statics.genders, oracle.statics.races, oracle.statics.ages):
        np.testing.assert_allclose(column.sum(axis=0), 1, atol=1e-12)


def entropy_of(probabilities: np.ndarray) -> float:
    positive = probabilities[probabilities > 0]
    return float(-(positive * np.log(positive)).sum())


def exact_entropy(generator: Generator, vocabulary: Vocabulary) -> tuple[float, float]:
    """Expected nats and timed events of a patient where there is one state and one site.

    The place is then an observed Markov chain; with N = (I - Q)^-1 its expected visits, the
    entropy of a timeline is the sum over places of visits times the entropy of a step there.
    """
    process = generator.process
    moves = process.moves[:, 0]
    inner = np.zeros((len(Place), len(Place)))
    for place, move in itertools.product(Place, Move):
        if move is not Move.END and NEXT_PLACE[place, move] >= 0:
            inner[place, NEXT_PLACE[place, move]] += moves[place, move]
    visits = np.linalg.inv(np.eye(len(Place)) - inner)[Place.NEW]
    bounds = np.array(
        [0, *(lower - 1 for lower in ETHOS_LOWER), *(262980 * k - 1 for k in range(2, 12))], dtype=float
    )
    written = [vocabulary.encode(code) for code in generator.codes]
    within = {}
    for move in set(process.concept_move.tolist()):
        shares = []
        for number, code in enumerate(written):
            if process.code_move[number] == move:
                share = process.concepts[0, process.code_concept[number]] * process.habits[0, number]
                shift = process.shift[0, process.code_concept[number]]
                median = math.exp(process.log_median[number] + process.spread[number] * shift)
                below = [
                    0.0,
                    *(log_logistic(edge, median, 1 / process.spread[number]) for edge in code.edges),
                    1.0,
                ]
                shares += (share * np.diff(below)).tolist()
        within[move] = entropy_of(np.array(shares))
    total = events = 0.0
    for place in Place:
        total += visits[place] * entropy_of(moves[place])
        continuing = 1 - moves[place, Move.END]
        events += visits[place] * continuing
        total += visits[place] * sum(moves[place, move] * h for move, h in within.items())
        if place in (Place.WARD, Place.ICU, Place.HOME):
            median, shape = process.gap_median[place, 0], process.gap_shape[place]
            longest = process.gap_longest[place]
            burst = process.burst[place]
            waited = [log_logistic(min(b, longest), median, shape) for b in bounds]
            classes = (1 - burst) * np.diff([*waited, log_logistic(longest, median, shape)])
            classes = classes / log_logistic(longest, median, shape)
            classes[0] += burst
            total += visits[place] * continuing * entropy_of(classes)
    return total, events


def test_mean_over_samples_is_the_entropy_in_closed_form_for_one_state():
    generator = build_generator(HospitalParameters(states=1, sites=1), (*CLINICAL, *MOVING))
    vocabulary = vocabulary_of(generator, "ethos")
    entropy, events = exact_entropy(generator, vocabulary)
    oracle = Oracle.of(generator, vocabulary)
    seen = observe(oracle, sample_timelines(generator.process, 0, 4000, stream(1, "timelines")))
    nats = oracle.nats(seen).site_unknown[:, 1:].sum(axis=1)
    assert seen.lengths.mean() == pytest.approx(events, abs=4 * seen.lengths.std() / np.sqrt(4000))
    assert nats.mean() == pytest.approx(entropy, abs=4 * nats.std() / np.sqrt(4000))
    # Per event, the length's variance falls out: the sharper comparison.
    rate = estimate_floor(nats, seen.lengths, seen.lengths)
    assert rate.per_event == pytest.approx(entropy / events, abs=4 * rate.per_event_error)
    assert rate.per_event_error < 0.004 * rate.per_event


def test_likelihood_ratios_of_another_process_have_mean_one():
    """E_p[q / p] = 1 holds only if the oracle's p is the law that the samples are drawn from."""
    generator = small_generator()
    other = replace(
        generator.process,
        prevalence=0.8 * generator.process.prevalence + 0.2 * generator.process.prevalence[:, ::-1],
        persistence=0.97 * generator.process.persistence,
        concepts=0.9 * generator.process.concepts + 0.1 * generator.process.concepts[::-1],
        gap_median=1.1 * generator.process.gap_median,
    )
    vocabulary = vocabulary_of(generator, "ethos")
    truth, changed = (
        Oracle.of(generator, vocabulary),
        Oracle.of(replace(generator, process=other), vocabulary),
    )
    ratios = []
    for site in range(2):
        seen = observe(truth, sample_timelines(generator.process, site, 4000, stream(5, "timelines", site)))
        ratios.append(
            np.exp(truth.nats(seen).site_unknown.sum(axis=1) - changed.nats(seen).site_unknown.sum(axis=1))
        )
    ratio = np.concatenate(ratios)
    error = ratio.std() / np.sqrt(len(ratio))
    assert error < 0.02
    assert ratio.mean() == pytest.approx(1, abs=4 * error)


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory):
    generator = build_generator(HospitalParameters(sites=2, patients=150, states=30))
    folder = tmp_path_factory.mktemp("hospitals") / "out"
    write_hospitals(folder, generator, lambda site, patients: None)
    return folder, generator


@pytest.mark.parametrize("scheme", ["ethos", "fused"])
def test_the_tokeniser_tells_apart_exactly_what_the_oracle_does(hospitals, scheme, tmp_path):
    folder, generator = hospitals
    vocabulary = vocabulary_of(generator, scheme, without=("LAB//50912//mg/dL", "VITAL//220045//bpm"))
    oracle = Oracle.of(generator, vocabulary)
    meaning: dict[tuple[int, int], tuple] = {}
    checked = 0
    for name in generator.sites:
        tokenise_root(folder / name, vocabulary, tmp_path / name, site=name)
        split = TokenShard.open(shard_folder(tmp_path / name, vocabulary.fingerprint)).split("train")
        rows = {subject: row for row, subject in enumerate(split.subject_ids.tolist())}
        for patients in observe_site(folder / name, "train", generator, oracle):
            gaps = oracle.symbols.of_gaps(patients.seen.gaps)
            for index, subject in enumerate(patients.subject_ids.tolist()):
                row = rows[subject]
                assert patients.tokens[index] == split.lengths[row] - 1
                assert patients.events[index] == split.events[row]
                tokens = split.tokens[split.first_token[row] :][: split.lengths[row]].tolist()
                pieces = split_events(vocabulary, tokens)
                length = patients.seen.lengths[index]
                assert len(pieces) == length + 3
                for step in range(length):
                    gap = int(gaps[index, step]) if scheme == "ethos" and step else 0
                    key = (int(patients.seen.symbols[index, step]), gap)
                    assert meaning.setdefault(key, pieces[step + 3]) == pieces[step + 3]
                    checked += 1
    assert checked > 5000
    assert len(set(meaning.values())) == len(meaning)


def split_events(vocabulary: Vocabulary, tokens: list[int]) -> list[tuple]:
    """Intervals and event of each event of a patient."""
    pieces: list[tuple] = []
    waiting: list = []
    for item in decode(vocabulary, tokens):
        if isinstance(item, Interval):
            waiting.append(item)
        elif isinstance(item, Event):
            pieces.append((*waiting, item))
            waiting = []
        else:
            assert isinstance(item, Marker)
    return pieces


def test_no_other_predictor_does_better(hospitals):
    folder, generator = hospitals
    vocabulary = vocabulary_of(generator, "ethos")
    oracle = Oracle.of(generator, vocabulary)
    process = generator.process
    wrong = [
        replace(process, persistence=0.9 * process.persistence),
        replace(process, prevalence=np.full_like(process.prevalence, 1 / process.prevalence.shape[1])),
        replace(process, shift=np.zeros_like(process.shift)),
        replace(process, habits=np.repeat(process.habits.mean(axis=0, keepdims=True), 2, axis=0)),
    ]
    others = [Oracle.of(replace(generator, process=each), vocabulary) for each in wrong]
    scores = [[] for _ in range(1 + len(others))]
    for name in generator.sites:
        for patients in observe_site(folder / name, "train", generator, oracle):
            for score, each in zip(scores, (oracle, *others), strict=True):
                score.append(each.nats(patients.seen).site_unknown.sum(axis=1))
    best, *rest = (np.concatenate(score) for score in scores)
    for score in rest:
        worse = score - best
        assert worse.mean() > 3 * worse.std() / np.sqrt(len(worse))


def test_count_models_stay_above_the_floor(hospitals):
    folder, generator = hospitals
    oracle = Oracle.of(generator, vocabulary_of(generator, "fused"))
    size = len(oracle.symbols.move) + 1
    train = _sequences(folder, generator, oracle, "train")
    unigram = np.bincount(np.concatenate(train), minlength=size) + 0.5
    unigram = unigram / unigram.sum()
    bigram = np.zeros((size, size))
    for sequence in train:
        np.add.at(bigram, (sequence[:-1], sequence[1:]), 1)
    bigram = (bigram + 50 * unigram) / (bigram.sum(axis=1, keepdims=True) + 50)
    # Symbols only: the floor leaves out the static columns, whose tokens count models do not see.
    floor = np.concatenate(
        [
            oracle.nats(patients.seen).site_unknown[:, 1:].sum(axis=1)
            for name in generator.sites
            for patients in observe_site(folder / name, "held_out", generator, oracle)
        ]
    )
    held_out = _sequences(folder, generator, oracle, "held_out")
    events = sum(len(sequence) for sequence in held_out)
    by_unigram = -sum(np.log(unigram[sequence]).sum() for sequence in held_out)
    by_bigram = -sum(
        np.log(unigram[sequence[0]]) + np.log(bigram[sequence[:-1], sequence[1:]]).sum()
        for sequence in held_out
    )
    assert min(by_unigram, by_bigram) / events > floor.sum() / events + 0.3


def _sequences(folder, generator, oracle, split) -> list[np.ndarray]:
    end = len(oracle.symbols.move)
    return [
        np.append(symbols[:length], end)
        for name in generator.sites
        for patients in observe_site(folder / name, split, generator, oracle)
        for symbols, length in zip(patients.seen.symbols, patients.seen.lengths, strict=True)
    ]


def test_knowing_the_site_helps_and_totals_are_sums_over_patients(hospitals):
    folder, generator = hospitals
    nats = patient_nats(folder, generator, vocabulary_of(generator, "ethos"), "train")
    gain = nats.site_unknown - nats.site_known
    assert gain.mean() > 3 * gain.std() / np.sqrt(len(gain))
    # At most the prior's ln 2 nats, over a whole timeline, can be gained by knowing one of two sites.
    assert gain.max() < math.log(2) + 1e-9
    floor = estimate_floor(nats.site_unknown, nats.tokens, nats.events)
    assert floor.per_event == pytest.approx(nats.site_unknown.sum() / nats.events.sum())
    resampled = [
        estimate_floor(nats.site_unknown[rows], nats.tokens[rows], nats.events[rows]).per_event
        for rows in np.random.default_rng(0).integers(0, len(gain), (400, len(gain)))
    ]
    assert floor.per_event_error == pytest.approx(np.std(resampled), rel=0.2)


def test_a_vocabulary_that_hides_admissions_is_refused(hospitals):
    _, generator = hospitals
    codes = tuple(code for code in generator.codes if code.startswith("LAB//5"))
    with pytest.raises(DataError, match="leads to another place"):
        Oracle.of(generator, Vocabulary("ethos", tuple(sorted(codes)), {}))
