"""When the heart beats, and which beats come early."""

from dataclasses import dataclass

import numpy as np

from client.ecg.synthetic.physiology import Physiology
from client.ecg.synthetic.rule import Floats

BEFORE, AFTER = 1.0, 1.0
"""Seconds outside the record in which a beat may lie whose waves reach into it."""
_SHORTEST = 0.25  # seconds from beat to beat
_EARLY = 0.35  # share of the interval that a fully premature beat comes early


@dataclass(frozen=True, eq=False)
class Rhythm:
    """Beats of a record.

    Attributes
    ----------
    times : (beats,)
        Seconds of each R peak from the record's start; a few lie outside the record.
    atrial, ventricular : (beats,)
        Degree to which each beat is a premature one of that kind; 0 for most.
    """

    times: Floats
    atrial: Floats
    ventricular: Floats


def draw_rhythm(physiology: Physiology, seconds: float, rng: np.random.Generator) -> Rhythm:
    """Beats of ``seconds`` seconds.

    Intervals follow breathing (one breath takes 3 to 5 s) and, by the degree of fibrillation,
    are log-normal and independent. Every third, fourth or fifth beat is premature by the
    patient's degrees, so that any 5 s at a usual rate show one; a pause follows it.
    """
    typical = 60 / physiology.rate
    count = int((seconds + BEFORE + AFTER) / min(typical, 1.0) * 1.6) + 8
    beat = np.arange(count)
    breath = rng.uniform(3.0, 5.0) / typical
    breathing = 1 + physiology.breathing * np.sin(2 * np.pi * (beat / breath + rng.random()))
    spread = 0.01 + 0.22 * physiology.fibrillation
    interval = typical * breathing * np.exp(spread * rng.normal(size=count) - spread**2 / 2)
    every = int(rng.integers(3, 6))
    first = int(rng.integers(every))
    ventricular = physiology.early_ventricular * (beat % every == first)
    atrial = physiology.early_atrial * (beat % every == (first + 1) % every)
    early = _EARLY * typical * (atrial + ventricular)
    interval -= early
    interval[1:] += early[:-1]
    times = np.cumsum(np.maximum(interval, _SHORTEST)) - BEFORE - typical * (1 + rng.random())
    inside = (times > -BEFORE) & (times < seconds + AFTER)
    return Rhythm(times[inside], atrial[inside], ventricular[inside])
