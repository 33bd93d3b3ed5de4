"""From kernels of the heart vector to what a device digitises on twelve leads."""

import numpy as np
from numpy.typing import NDArray

from client.ecg.synthetic.rule import Floats
from client.ecg.synthetic.site import Device
from client.ecg.synthetic.waves import Waves

Signals = NDArray[np.float32]

LEAD_FIELD: Floats = np.array(
    [
        [0.632, -0.235, 0.059],
        [0.235, 1.066, -0.132],
        [-0.515, 0.157, -0.917],
        [0.044, 0.164, -1.387],
        [0.882, 0.098, -1.277],
        [1.213, 0.127, -0.601],
        [1.125, 0.127, -0.086],
        [0.831, 0.076, 0.230],
    ]
)
"""I, II, V1 to V6 from x, y, z: Dower, Machado and Osborne (Clin. Cardiol. 3, 1980)."""

_REACH = 3.5  # standard deviations of a kernel that are computed


def heart_vector(waves: Waves, rate: float, samples: int) -> Signals:
    """Sum of all kernels, (samples, 3), mV."""
    vector = np.zeros((samples, 3), dtype=np.float32)
    for kernel in range(waves.width.shape[1]):
        width = float(waves.width[0, kernel]) * rate
        reach = int(np.ceil(_REACH * width))
        centre = waves.centre[:, kernel] * rate
        first = np.floor(centre).astype(np.int64) - reach
        window = np.arange(2 * reach + 2, dtype=np.float32)
        distance = (window - (centre - first).astype(np.float32)[:, None]) / np.float32(width)
        shape = np.exp(-0.5 * distance**2)
        for start, bell, amplitude in zip(
            first.tolist(), shape, waves.amplitude[:, kernel].astype(np.float32), strict=True
        ):
            inside = slice(max(start, 0), min(start + len(bell), samples))
            if amplitude.any() and inside.start < inside.stop:
                vector[inside] += bell[inside.start - start : inside.stop - start, None] * amplitude
    return vector


def fibrillation_waves(degree: float, rate: float, samples: int, rng: np.random.Generator) -> Signals:
    """Atrial f waves on the three axes, (samples, 3), mV: three tones of 4 to 8 Hz that drift."""
    time = np.arange(samples, dtype=np.float32) / np.float32(rate)
    tones = np.zeros(samples, dtype=np.float32)
    for frequency, phase, drift in zip(
        rng.uniform(4, 8, 3), rng.uniform(0, 2 * np.pi, 3), rng.uniform(0.1, 0.3, 3), strict=True
    ):
        bend = np.float32(2) * np.sin(np.float32(2 * np.pi * drift) * time)
        tones += np.sin(np.float32(2 * np.pi * frequency) * time + np.float32(phase) + bend)
    direction = np.array([0.3, 1.0, -1.2], dtype=np.float32)
    return np.asarray(np.outer(tones, np.float32(0.02 * degree) * direction))


def electrode_noise(device: Device, samples: int, rng: np.random.Generator) -> Signals:
    """Muscle noise, baseline wander and mains hum of eight leads, (samples, 8), mV."""
    time = np.arange(samples, dtype=np.float32) / np.float32(device.rate)
    # Muscle noise has the same power a hertz at every rate: 12 microvolts at 500 a second.
    muscle = rng.standard_normal((samples, 8), dtype=np.float32) * np.float32(
        0.012 * np.sqrt(device.rate / 500)
    )
    tones = [*rng.uniform(0.12, 0.45, 3), device.mains]
    angle = np.float32(2 * np.pi) * np.array(tones, dtype=np.float32)[:, None] * time
    phase = np.concatenate([np.sin(angle), np.cos(angle)]).T
    scale = np.array([0.03, 0.03, 0.03, 0.003] * 2)[:, None]
    slow: Signals = phase @ (scale * rng.normal(size=(8, 8))).astype(np.float32)
    return np.float32(device.noise) * (muscle + slow)


def project(vector: Signals, precordial_gain: Floats) -> Signals:
    """Leads I, II and V1 to V6, (samples, 8), of a heart vector; chest electrodes differ in distance."""
    field = LEAD_FIELD.copy()
    field[2:] *= precordial_gain[:, None]
    return vector @ field.T.astype(np.float32)


def digitise(leads: Signals, device: Device) -> NDArray[np.int32]:
    """Twelve leads in digital steps, (samples, 12), from I, II and V1 to V6 in mV.

    Leads III, aVR, aVL and aVF come from the digits of I and II, so that Einthoven's law holds to
    the last step, and Goldberger's equations to half a step.
    """
    eight = np.rint(leads * np.float32(device.steps * (1 + device.gain_error))).astype(np.int32)
    one, two = eight[:, 0], eight[:, 1]
    limb = np.stack(
        [one, two, two - one, -((one + two) // 2), one - (two + 1) // 2, two - (one + 1) // 2], axis=1
    )
    return np.concatenate([limb, eight[:, 2:]], axis=1)
