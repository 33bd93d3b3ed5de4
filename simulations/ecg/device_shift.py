"""Records as another electrocardiograph would have given them."""

from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from client.ecg.record import EcgRecord
from client.ecg.resample import resampled
from wardlaw.seeds import generator

SHIFTED = "device-shift"
_FROM_EIGHT: NDArray[np.float64] = np.vstack(
    [[[1, 0], [0, 1], [-1, 1], [-0.5, -0.5], [1, -0.5], [-0.5, 1]], np.zeros((6, 2))]
)
"""Twelve leads from I and II, by Einthoven's law and Goldberger's equations; chest leads are their own."""


@dataclass(frozen=True)
class DeviceShift:
    """How a device differs from the one that made the records.

    Attributes
    ----------
    gain : float
        Factor of all voltages.
    noise : float
        Standard deviation of white noise in mV, on leads I, II and V1 to V6.
    rate : float
        Share of the sampling rate: 0.5 leaves half of the bandwidth.
    """

    gain: float
    noise: float
    rate: float


def drawn_shift(site: str, seed: int) -> DeviceShift:
    """A device: gain within 20 %, up to 0.05 mV of noise, 0.5 to all of the rate.

    Examples
    --------
    >>> drawn_shift("site-00", 0) == drawn_shift("site-00", 0) != drawn_shift("site-01", 0)
    True
    """
    rng = generator(seed, "device-shift", site)
    return DeviceShift(
        gain=round(float(rng.uniform(0.8, 1.2)), 3),
        noise=round(float(rng.uniform(0, 0.05)), 4),
        rate=float(rng.choice([0.5, 0.75, 1.0])),
    )


def shifted(record: EcgRecord, shift: DeviceShift, seed: int) -> EcgRecord:
    """The record on another device: at its rate, in the same digital steps, marked as altered.

    The noise keeps Einthoven's law; it is drawn from a stream of the record's name.
    """
    rate = record.rate * shift.rate
    signal = shift.gain * resampled(record.millivolts(), record.rate, rate).astype(np.float64)
    rng = generator(seed, "device-shift", "noise", record.name)
    noise = shift.noise * rng.normal(size=(len(signal), 8))
    signal += noise[:, :2] @ _FROM_EIGHT.T
    signal[:, 6:] += noise[:, 2:]
    digital = np.rint(signal * record.gain + record.baseline).astype(np.int32)
    return replace(record, digital=digital, rate=rate, repairs=(*record.repairs, SHIFTED))


def told(shift: DeviceShift) -> str:
    """The shift in words, for a data set's name.

    Examples
    --------
    >>> told(DeviceShift(gain=1.1, noise=0.02, rate=0.5))
    'device shift (gain 1.1, noise 0.02, rate 0.5)'
    """
    return f"device shift ({', '.join(f'{name} {value:g}' for name, value in asdict(shift).items())})"
