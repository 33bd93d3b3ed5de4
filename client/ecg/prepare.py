"""From a record as it was digitised to the integers that a shard stores."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from client.ecg.checks import checked
from client.ecg.record import EcgRecord, Quarantined
from client.ecg.resample import resampled

CUT = "cut"
FINER = 16
"""Steps of a resampled signal in a step of its ADC, where 16 bits have room for them."""
_SPAN = 65_534


@dataclass(frozen=True, eq=False)
class Signal:
    """Integers of 12 leads: a sample in mV is ``(digital - baseline) / gain``.

    Attributes
    ----------
    digital : ndarray of int, (samples, 12)
    gain, baseline : ndarray of float, (12,)
    """

    digital: NDArray[np.integer]
    gain: NDArray[np.floating]
    baseline: NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Prepared:
    """A record that a shard can take.

    Attributes
    ----------
    record : EcgRecord
        What is known of it, at its own rate.
    signal : Signal
        int16 and float32, at the shard's rate.
    digest : str
        SHA-256 of the integers as the source had them.
    """

    record: EcgRecord
    signal: Signal
    digest: str


def prepared(item: EcgRecord | Quarantined, rate: float, max_seconds: float) -> Prepared | Quarantined:
    """A record checked, cut to its first ``max_seconds``, and at ``rate`` samples a second.

    At its own rate a record's integers stay as they are; a resampled one is rounded to a sixteenth
    of its ADC's step. `fitted` then makes them fit 16 bits.
    """
    sound = item if isinstance(item, Quarantined) else checked(item)
    if isinstance(sound, Quarantined):
        return sound
    record = cut(sound, max_seconds)
    own = Signal(record.digital, record.gain, record.baseline)
    signal = own if record.rate == rate else at_rate(record, rate)
    return Prepared(record, fitted(signal), digest_of(sound))


def digest_of(record: EcgRecord) -> str:
    """SHA-256 of a record's integers, by which bit-identical signals are found."""
    return hashlib.sha256(record.digital.astype("<i4").tobytes()).hexdigest()


def cut(record: EcgRecord, max_seconds: float) -> EcgRecord:
    """The first ``max_seconds`` of a record; a longer one tells of it as a repair."""
    samples = int(max_seconds * record.rate)
    if len(record.digital) <= samples:
        return record
    return replace(record, digital=record.digital[:samples], repairs=(*record.repairs, CUT))


def at_rate(record: EcgRecord, rate: float) -> Signal:
    """The signal at another rate, in sixteenths of the ADC's step."""
    gain = record.gain * FINER
    steps = np.rint(resampled(record.millivolts(), record.rate, rate) * gain)
    return Signal(steps.astype(np.int64), gain, np.zeros(len(gain)))


def fitted(signal: Signal) -> Signal:
    """The signal in 16 bits.

    A lead that fits stays as it is. One that lies outside is moved by whole steps, without loss;
    one that spans more than 65,534 steps is rounded to steps 2, 4, 8, ... times as large.
    """
    low = signal.digital.min(axis=0).astype(np.int64)
    high = signal.digital.max(axis=0).astype(np.int64)
    bounds = np.iinfo(np.int16)
    fits = (low >= bounds.min) & (high <= bounds.max)
    offset = np.where(fits, 0, (low + high + 1) // 2)
    step = np.where(fits, 1, 2 ** np.ceil(np.log2(np.maximum((high - low) / _SPAN, 1))))
    return Signal(
        np.rint((signal.digital - offset) / step).astype(np.int16),
        (signal.gain / step).astype(np.float32),
        ((signal.baseline - offset) / step).astype(np.float32),
    )
