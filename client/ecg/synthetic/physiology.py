"""What a severity does to the heart: one property a finding, the same at every site.

Each property rises or falls strictly with its severity over the range that matters, so that a
clean signal tells the severity. At severity 0 it has the value at which the label is as likely
as not: a PR interval of 200 ms, a rate of 100 a minute, an axis of -30 degrees.
"""

from dataclasses import dataclass

import numpy as np

from client.ecg.synthetic.rule import INDEX, Floats


@dataclass(frozen=True)
class Physiology:
    """Properties of a patient's heart.

    Attributes
    ----------
    rate : float
        Beats a minute.
    fibrillation : float
        Degree in (0, 1): takes the P wave away, makes f waves and irregular intervals.
    breathing : float
        Share by which breathing lengthens and shortens the RR interval.
    pr, qtc : float
        PR interval, and QT interval at a rate of 60 (Bazett), ms.
    early_atrial, early_ventricular : float
        Degree in (0, 1) to which every few beats are premature.
    left_delay, right_delay : float
        Degree in (0, 1) of a late QRS part to the left and back, or to the right and front.
    axis : float
        Direction of the QRS in the frontal plane, degrees from lead I towards aVF.
    voltage : float
        Factor of the QRS.
    inferior_loss : float
        Degree in (0, 1) of an early QRS part away from the inferior leads: a Q wave.
    t_factor : float
        Of the T wave: 1 upright, negative inverted.
    t_late : float
        Degree in (0, 1) of a second, opposite part of the T wave.
    """

    rate: float
    fibrillation: float
    breathing: float
    pr: float
    qtc: float
    early_atrial: float
    early_ventricular: float
    left_delay: float
    right_delay: float
    axis: float
    voltage: float
    inferior_loss: float
    t_factor: float
    t_late: float


def physiology_of(severity: Floats) -> Physiology:
    """Properties that a patient's severities, (findings,), stand for.

    Two ends of one scale (fast and slow, right and left axis) meet in a middle value: each
    moves it from one severity below its own label's threshold on.
    """

    def of(name: str) -> float:
        return float(severity[INDEX[name]])

    def degree(name: str) -> float:
        return float(1 / (1 + np.exp(-2 * of(name))))

    def beyond(name: str) -> float:
        return max(of(name) + 1, 0.0)

    return Physiology(
        rate=float(np.clip(80 + 20 * beyond("STach") - 20 * beyond("SB"), 30, 190)),
        fibrillation=degree("AF"),
        breathing=0.3 * degree("SA"),
        pr=float(np.clip(200 + 30 * of("IAVB"), 100, 340)),
        qtc=float(np.clip(460 + 25 * of("LQT"), 370, 580)),
        early_atrial=degree("PAC"),
        early_ventricular=degree("PVC"),
        left_delay=degree("CLBBB"),
        right_delay=degree("CRBBB"),
        axis=float(np.clip(40 + 50 * beyond("RAD") - 70 * beyond("LAD"), -100, 190)),
        voltage=float(0.5 * np.exp(-0.25 * np.clip(of("LQRSV"), -3.5, 4))),
        inferior_loss=degree("QAb"),
        t_factor=float(-np.tanh(of("TInv") / 2)),
        t_late=degree("TAb"),
    )
