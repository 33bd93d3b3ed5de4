"""Latency, throughput and equality of a classifier under several engines."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from models.ecg.batch import LEADS
from models.ecg.engines import Engine, Signals
from wardlaw.seeds import generator

TOLERANCE = 1e-4
"""Largest difference of fp32 engines that counts as equal."""


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
    engines: Sequence[Engine], signals: Signals, rounds: int, seconds: float, clock: Callable[[], float]
) -> list[Measurement]:
    """Time the engines on one batch, taking turns.

    Parameters
    ----------
    engines : sequence of Engine
        The first is the reference of the differences.
    signals : array, (B, L, leads)
    rounds : int
        Each engine's turns, so that a busy spell of the machine meets all of them.
    seconds : float
        Length of a turn; a call that has begun is finished.
    clock : callable
        Seconds: ``time.perf_counter``, or ``time.process_time`` for one thread on a busy machine.
    """
    answers = [engine.answer(signals) for engine in engines]
    taken: list[list[float]] = [[] for _ in engines]
    for _ in range(rounds):
        for engine, times in zip(engines, taken, strict=True):
            times += time_calls(engine, signals, seconds, clock)
    return [
        Measurement(
            engine=engine.name,
            precision=engine.precision,
            batch=len(signals),
            median_ms=1e3 * statistics.median(times),
            ninetieth_ms=1e3 * float(np.quantile(times, 0.9)),
            records_per_second=len(signals) / statistics.median(times),
            probability_difference=largest_difference(answer[0], answers[0][0]),
            logit_difference=largest_difference(answer[1], answers[0][1]),
        )
        for engine, times, answer in zip(engines, taken, answers, strict=True)
    ]


def time_calls(engine: Engine, signals: Signals, seconds: float, clock: Callable[[], float]) -> list[float]:
    """Seconds of each call, after one that does not count."""
    engine.answer(signals)
    taken: list[float] = []
    while sum(taken) < seconds:
        started = clock()
        engine.answer(signals)
        taken.append(clock() - started)
    return taken


def largest_difference(answer: Signals, reference: Signals) -> float:
    """Largest absolute difference; NaN where either has one."""
    return float(np.abs(answer - reference).max())
