"""The waves of each beat as Gaussian kernels of the heart vector.

Each wave is a Gaussian in time with an amplitude on each of the three axes: the kernels of
McSharry et al. (IEEE Trans. Biomed. Eng. 50(3), 2003) for a three-dimensional dipole, as
Sameni et al. (EURASIP J. Adv. Signal Process., 2007, 43407) extend them. Axes are Frank's:
x to the left, y to the feet, z to the back. Times are in ms from the R peak.
"""

from dataclasses import dataclass

import numpy as np

from client.ecg.synthetic.physiology import Physiology
from client.ecg.synthetic.rhythm import Rhythm
from client.ecg.synthetic.rule import Floats

QRS_ONSET = -45.0
_P_PEAK_AFTER_ONSET = 50.0
_T_PEAK_BEFORE_END = 80.0

# Centre and width in ms; amplitudes in mV along the frontal axis, across it, and to the back.
_SEPTAL = (-24.0, 8.0, (-0.12, 0.0, -0.30))
_MAIN = (0.0, 11.0, (1.30, 0.0, 0.35))
_BASAL = (26.0, 10.0, (-0.22, 0.0, 0.45))
# Amplitudes in mV to the left, to the feet, to the back.
_INFERIOR_LOSS = (-30.0, 10.0, (0.0, -0.60, 0.0))
_LEFT_DELAY = (48.0, 22.0, (0.80, 0.10, 0.70))
_RIGHT_DELAY = (55.0, 18.0, (-0.45, 0.05, -0.60))
_VENTRICULAR = (20.0, 38.0, (-0.40, 1.10, 0.90))
_P = (0.09, 0.11, 0.01)
_T = (0.26, 0.20, -0.13)


@dataclass(frozen=True)
class Build:
    """What differs between patients and says nothing about any label.

    Attributes
    ----------
    p, t : float
        Factors of the P and the T wave.
    p_width, t_width : float
        Standard deviations of the P and the T wave, ms.
    """

    p: float
    t: float
    p_width: float
    t_width: float


def draw_build(sex: str, rng: np.random.Generator) -> Build:
    """A patient's build; men have larger T waves."""
    p, t, p_width, t_width = np.exp(rng.normal(scale=(0.15, 0.15, 0.1, 0.1)))
    larger = 1.15 if sex == "male" else 0.9
    return Build(float(p), float(larger * t), float(20 * p_width), float(38 * t_width))


@dataclass(frozen=True, eq=False)
class Waves:
    """Kernels of all beats.

    Attributes
    ----------
    centre, width : (beats, kernels)
        Seconds from the record's start, and seconds.
    amplitude : (beats, kernels, 3)
        mV.
    """

    centre: Floats
    width: Floats
    amplitude: Floats


def waves_of(physiology: Physiology, build: Build, rhythm: Rhythm) -> Waves:
    """Kernels of a patient's beats: of the P wave, the QRS complex and the T wave.

    A premature ventricular beat replaces the others by its degree: no P wave, one broad QRS kernel,
    a T wave of opposite sign. A premature atrial one turns its P wave over.
    """
    kernels = [*_atrial(physiology, build), *_qrs(physiology), *_repolarisation(physiology, build)]
    offset, width, amplitude = (np.array(column) for column in zip(*kernels, strict=True))
    every = np.repeat(amplitude[None], len(rhythm.times), axis=0)
    every[:, :1] *= (1 - 2 * rhythm.atrial - rhythm.ventricular + rhythm.atrial * rhythm.ventricular)[
        :, None, None
    ]
    every[:, 1:-2] *= (1 - rhythm.ventricular)[:, None, None]
    every[:, -2:] *= (1 - 2 * rhythm.ventricular)[:, None, None]
    ectopic = rhythm.ventricular[:, None, None] * np.array(_VENTRICULAR[2])
    centre = rhythm.times[:, None] + np.append(offset, _VENTRICULAR[0]) / 1000
    widths = np.broadcast_to(np.append(width, _VENTRICULAR[1]) / 1000, centre.shape)
    return Waves(centre, widths, np.concatenate([every, ectopic], axis=1))


Kernel = tuple[float, float, Floats]


def _atrial(physiology: Physiology, build: Build) -> list[Kernel]:
    peak = QRS_ONSET - physiology.pr + _P_PEAK_AFTER_ONSET
    return [(peak, build.p_width, (1 - physiology.fibrillation) * build.p * np.array(_P))]


def _qrs(physiology: Physiology) -> list[Kernel]:
    angle = np.deg2rad(physiology.axis)
    frontal = np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    turned = [(_SEPTAL, 1 - physiology.left_delay), (_MAIN, 1.0), (_BASAL, 1.0)]
    fixed = [
        (_INFERIOR_LOSS, physiology.inferior_loss),
        (_LEFT_DELAY, physiology.left_delay),
        (_RIGHT_DELAY, physiology.right_delay),
    ]
    return [
        (offset, width, physiology.voltage * degree * np.array(amplitude) @ frame)
        for kernels, frame in ((turned, frontal), (fixed, np.eye(3)))
        for (offset, width, amplitude), degree in kernels
    ]


def _repolarisation(physiology: Physiology, build: Build) -> list[Kernel]:
    beat = np.clip(60 / physiology.rate, 0.4, 1.5)
    end = QRS_ONSET + physiology.qtc * np.sqrt(beat)
    peak = end - _T_PEAK_BEFORE_END
    vector = build.t * np.array(_T)
    return [
        (peak, build.t_width, physiology.t_factor * vector),
        (peak + 45, 20.0, -0.8 * physiology.t_late * vector),
    ]
