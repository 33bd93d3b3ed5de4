"""The exact predictive probability of synthetic timelines: the loss that no model can beat.

The forward algorithm (Rabiner, Proc. IEEE 77, 1989, section III.A) over the latent state,
for each site side by side. The site of a patient is one more latent variable, fixed over
the timeline, whose posterior is updated with each event.
"""

from dataclasses import dataclass

import numpy as np

from simulations.synthetic.concepts import Move, Place
from simulations.synthetic.gaps import gap_distribution
from simulations.synthetic.process import NEXT_PLACE, Floats, Generator, Ints, Process
from simulations.synthetic.symbols import Statics, Symbols, build_statics, build_symbols
from wardlaw.vocabulary import Vocabulary

_NO_EVENT = -1


@dataclass(frozen=True)
class Observations:
    """Timelines as a tokeniser sees them; n patients, by decreasing number of events.

    Attributes
    ----------
    lengths : (n,) int64
        Timed events of each patient, birth apart.
    symbols, gaps : (n, longest) int64
        Symbol of each event, and minutes since the event before it.
    genders, races, age_bins : (n,) int64
    """

    lengths: Ints
    symbols: Ints
    gaps: Ints
    genders: Ints
    races: Ints
    age_bins: Ints


@dataclass(frozen=True)
class PredictiveNats:
    """Minus the logarithm of each event's probability given all before it.

    Attributes
    ----------
    site_unknown : (n, longest + 2)
        Predictor that has to infer the site. The first column is the static events
        together, then the timed ones, each with its gap if the scheme writes gaps; the
        end of a timeline comes after its last event. 0 beyond.
    site_known : (n, longest + 2, S)
        Predictor that takes the patient to be of site s.
    """

    site_unknown: Floats
    site_known: Floats


@dataclass(frozen=True)
class Oracle:
    """The true process seen through a vocabulary.

    Attributes
    ----------
    process : Process
    symbols : Symbols
    statics : Statics
    prior : (S,)
        Probability that a patient is of each site.
    scores_gaps : bool
        Whether gaps are written as tokens (``ethos``) and so part of the loss; otherwise
        (``fused``) the predictor sees each event's exact minute once the event is there.
    """

    process: Process
    symbols: Symbols
    statics: Statics
    prior: Floats
    scores_gaps: bool

    @classmethod
    def of(cls, generator: Generator, vocabulary: Vocabulary) -> "Oracle":
        """Oracle of a generator's patients, of which each site has as many."""
        return cls(
            generator.process,
            build_symbols(generator, vocabulary),
            build_statics(generator, vocabulary),
            np.full(len(generator.sites), 1 / len(generator.sites)),
            vocabulary.scheme == "ethos",
        )

    def nats(self, seen: Observations) -> PredictiveNats:
        """Predictive nats of each event of some patients.

        The cost is that of one product of an (n S, K) with a (K, K) matrix an event.
        """
        patients, longest = seen.symbols.shape
        sites = self.process.sites
        known = np.zeros((patients, longest + 2, sites))
        unknown = np.zeros((patients, longest + 2))
        known[:, 0] = -np.log(
            self.statics.genders[seen.genders]
            * self.statics.races[seen.races]
            * self.statics.ages[seen.age_bins]
        )
        weight = np.log(self.prior) - known[:, 0]
        unknown[:, 0] = -_log_sum(weight)
        weight += unknown[:, :1]
        place = np.full(patients, Place.NEW)
        state = np.broadcast_to(self.process.prevalence, (patients, *self.process.prevalence.shape))
        for step in range(longest + 1):
            # Patients are by decreasing length: those still observed, their end included, come first.
            going = int(np.searchsorted(-seen.lengths, -step, side="right"))
            place, weight = place[:going], weight[:going]
            if step:
                state = self._advance(state[:going], place)
            symbol, gap = self._column(seen, step, going)
            joint = state[:going] * self._likelihood(symbol, place)
            if self.scores_gaps:
                joint = joint * self._gap_class_likelihood(gap, place)
            total = joint.sum(axis=2)
            known[:going, step + 1] = -np.log(total)
            weight = weight + np.log(total)
            normaliser = _log_sum(weight)
            unknown[:going, step + 1] = -normaliser
            weight = weight - normaliser[:, None]
            state = joint / total[:, :, None]
            if not self.scores_gaps:
                state, weight = self._condition_on_gaps(state, weight, gap, place)
            place = NEXT_PLACE[place, self._move(symbol)]
        return PredictiveNats(unknown, known)

    def _column(self, seen: Observations, step: int, going: int) -> tuple[Ints, Ints]:
        """Symbol and gap of each patient's event of this step; ``_NO_EVENT`` at the end."""
        ended = seen.lengths[:going] == step
        if step == seen.symbols.shape[1]:
            return np.full(going, _NO_EVENT), np.full(going, _NO_EVENT)
        return (
            np.where(ended, _NO_EVENT, seen.symbols[:going, step]),
            np.where(ended | (step == 0), _NO_EVENT, seen.gaps[:going, step]),
        )

    def _advance(self, state: Floats, place: Ints) -> Floats:
        """Distribution of the next event's state: (n, S, K)."""
        process = self.process
        drawn = (
            process.comorbidity * (state @ process.successors)
            + (1 - process.comorbidity) * process.prevalence
        )
        stays = process.persistence[place][:, None, None]
        return np.asarray(stays * state + (1 - stays) * drawn)

    def _move(self, symbol: Ints) -> Ints:
        return np.where(symbol == _NO_EVENT, Move.END, self.symbols.move[symbol])

    def _likelihood(self, symbol: Ints, place: Ints) -> Floats:
        """Probability of move and symbol: (n, S, K)."""
        move = self.process.moves[place, :, self._move(symbol)][:, None, :]
        given_move = self.symbols.probability[symbol]
        given_move[symbol == _NO_EVENT] = 1
        return np.asarray(move * given_move)

    def _gap_class_likelihood(self, gap: Ints, place: Ints) -> Floats:
        """Probability of the gap's class; one where there is no gap: (n, 1, K)."""
        likelihood = self.symbols.gap_probability[self.symbols.of_gaps(gap), place]
        likelihood[gap == _NO_EVENT] = 1
        return likelihood[:, None, :]

    def _condition_on_gaps(
        self, state: Floats, weight: Floats, gap: Ints, place: Ints
    ) -> tuple[Floats, Floats]:
        """State and site given the exact minutes, which are seen but not predicted."""
        process = self.process
        table = [
            gap_distribution(
                minutes[:, None],
                process.burst[place][:, None],
                process.gap_median[place],
                process.gap_shape[place][:, None],
                process.gap_longest[place][:, None],
            )
            for minutes in (gap.astype(np.float64), (gap - 1).astype(np.float64))
        ]
        likelihood = np.where(gap[:, None] == _NO_EVENT, 1, table[0] - table[1])
        joint = state * likelihood[:, None, :]
        total = joint.sum(axis=2)
        weight = weight + np.log(total)
        return joint / total[:, :, None], weight - _log_sum(weight)[:, None]


def _log_sum(weight: Floats) -> Floats:
    """Logarithm of the sum of exponentials over sites, (n,)."""
    largest = weight.max(axis=1)
    return np.asarray(largest + np.log(np.exp(weight - largest[:, None]).sum(axis=1)))
