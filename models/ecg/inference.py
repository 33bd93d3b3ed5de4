"""Latency, throughput and equality of a classifier under several engines."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from models.ecg.batch import LEADS
from models.ecg.engines import Answers, Engine, Signals
from wardlaw.seeds import generator

TOLERANCE = 1e-4
"""Largest difference of fp32 engines that counts as equal."""

WARM_UP = 2


@dataclass(frozen=True)
class Measurement:
    """One engine at one batch size.

    Attributes
    ----------
    engine, precision : str
    batch : int
        Crops a call.
    median_ms, ninetieth_ms : float
        Time of a call: median, and what 90 % of the calls stay below.
    records_per_second : float
        Batch over the median.
    probability_difference, logit_difference : float
        Largest absolute difference from the first engine's answers.
    """

    engine: str
    precision: str
    batch: int
    median_ms: float
    ninetieth_ms: float
    records_per_second: float
    probability_difference: float
    logit_difference: float

    @property
    def equal(self) -> bool:
        """Whether both differences are within ``TOLERANCE``; a NaN is not."""
        return self.probability_difference <= TOLERANCE and self.logit_difference <= TOLERANCE


def noise(batch: int, samples: int) -> Signals:
    """Gaussian noise of unit scale in place of crops, the same each time: engines take as long for it."""
    signals: Signals = generator(0, "inference", batch).standard_normal((batch, samples, LEADS), np.float32)
    return signals


def measure(
    engines: Sequence[Engine], signals: Signals, rounds: int, calls: int, clock: Callable[[], float]
) -> list[Measurement]:
    """Time the engines on one batch, taking turns.

    Parameters
    ----------
    engines : sequence of Engine
        The first is the reference of the differences.
    signals : array, (B, L, leads)
    rounds : int
        Each engine's turns, so that a busy spell of the machine meets all of them.
    calls : int
        Timed calls of a turn, after ``WARM_UP`` others.
    clock : callable
        Seconds: ``time.perf_counter``, or ``time.process_time`` for one thread on a busy machine.
    """
    answers = [engine.answer(signals) for engine in engines]
    seconds: list[list[float]] = [[] for _ in engines]
    for _ in range(rounds):
        for engine, taken in zip(engines, seconds, strict=True):
            taken += time_calls(engine, signals, calls, clock)
    return [
        Measurement(
            engine.name,
            engine.precision,
            len(signals),
            1e3 * statistics.median(taken),
            1e3 * float(np.quantile(taken, 0.9)),
            len(signals) / statistics.median(taken),
            *differences(answer, answers[0]),
        )
        for engine, taken, answer in zip(engines, seconds, answers, strict=True)
    ]


def time_calls(engine: Engine, signals: Signals, calls: int, clock: Callable[[], float]) -> list[float]:
    """Seconds of each call."""
    for _ in range(WARM_UP):
        engine.answer(signals)
    taken = []
    for _ in range(calls):
        started = clock()
        engine.answer(signals)
        taken.append(clock() - started)
    return taken


def differences(answers: Answers, reference: Answers) -> tuple[float, float]:
    """Largest absolute differences of probabilities and of logits."""
    probabilities, logits = (float(np.abs(a - b).max()) for a, b in zip(answers, reference, strict=True))
    return probabilities, logits
