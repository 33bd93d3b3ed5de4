"""What a generated patient has, and what decides each label: the rule that a model can learn.

A finding has a *severity* x, which sets one property of the signal (``physiology.py``)
in the same way at every site. Its label is read with an error of its own:

    label = (x + ambiguity * e > 0)  and no finding that hides it is labelled,   e ~ N(0, 1).

So the best score of a label is P(label | severities), in closed form (``oracle.py``).
Sites differ in how often severities are above 0: x ~ N(quantile(prevalence), 1 - ambiguity**2).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from client.ecg.classes import SINUS

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Finding:
    """A finding and the class it is labelled as.

    Attributes
    ----------
    name : str
        Abbreviation of PhysioNet/CinC Challenge 2021.
    code : str
        SNOMED CT code of its class.
    prevalence : float
        Share of labelled patients where a site does not say otherwise: near that of the
        Challenge's 88,253 public training records (dx_mapping_scored.csv).
    ambiguity : float
        Standard deviation of the label's reading error, in severities.
    hidden_by : str
        Finding whose label rules this one out; empty for none.
    opposite : str
        Finding at the other end of the same scale; empty for none.
    ageing : float
        Correlation of the severity with age.
    """

    name: str
    code: str
    prevalence: float
    ambiguity: float
    hidden_by: str = ""
    opposite: str = ""
    ageing: float = 0.0


FINDINGS = (
    Finding("AF", "164889003", 0.060, 0.25, ageing=0.4),
    Finding("STach", "427084000", 0.109, 0.25, hidden_by="AF"),
    Finding("SB", "426177001", 0.214, 0.25, hidden_by="AF", opposite="STach"),
    Finding("SA", "427393009", 0.043, 0.40, hidden_by="AF", ageing=-0.3),
    Finding("IAVB", "270492004", 0.040, 0.30, hidden_by="AF", ageing=0.3),
    Finding("PAC", "284470004", 0.037, 0.40, hidden_by="AF", ageing=0.2),
    Finding("PVC", "427172004", 0.022, 0.25, ageing=0.2),
    Finding("CLBBB", "733534002", 0.017, 0.25, ageing=0.3),
    Finding("CRBBB", "713427006", 0.055, 0.30, hidden_by="CLBBB", ageing=0.2),
    Finding("RAD", "47665007", 0.015, 0.30),
    Finding("LAD", "39732003", 0.086, 0.30, opposite="RAD", ageing=0.3),
    Finding("LQRSV", "251146004", 0.018, 0.40),
    Finding("QAb", "164917005", 0.024, 0.50, hidden_by="CLBBB", ageing=0.2),
    Finding("TInv", "59931005", 0.045, 0.40, ageing=0.2),
    Finding("TAb", "164934002", 0.133, 0.60, ageing=0.2),
    Finding("LQT", "111975006", 0.022, 0.50),
)
"""In this order everywhere; a hider and an opposite come before who names them."""

NAMES = tuple(finding.name for finding in FINDINGS)
INDEX = {name: number for number, name in enumerate(NAMES)}
AMBIGUITY: Floats = np.array([finding.ambiguity for finding in FINDINGS])
NOT_SINUS = ("AF", "STach", "SB", "SA")
"""Findings that are a rhythm of their own: with one of these, sinus rhythm is not labelled."""
SINUS_RHYTHM = SINUS


def thresholds(prevalence: Floats) -> Floats:
    """Severity that the findings lack on average, so that each is labelled as often as asked.

    Parameters
    ----------
    prevalence : (findings,)
        Share of patients with each label.

    Returns
    -------
    (findings,)
        ``-mean`` of each severity.
    """
    shown = np.array([1 - prevalence[INDEX[f.hidden_by]] if f.hidden_by else 1.0 for f in FINDINGS])
    return np.asarray(-ndtri(np.minimum(prevalence / shown, 0.98)))


def paired(numbers: Floats) -> Floats:
    """Numbers of which an opposite finding has the negative of its pair's."""
    mirrored = numbers.copy()
    for number, finding in enumerate(FINDINGS):
        if finding.opposite:
            mirrored[number] = -mirrored[INDEX[finding.opposite]]
    return mirrored


def labelled(severity: Floats, error: Floats) -> NDArray[np.bool_]:
    """Which findings are labelled, (findings,), from severities and standard reading errors."""
    positive = severity + AMBIGUITY * error > 0
    hidden = [bool(f.hidden_by) and positive[INDEX[f.hidden_by]] for f in FINDINGS]
    return np.asarray(positive & ~np.array(hidden))


def is_sinus(severity: Floats, error: Floats) -> bool:
    """Whether the rhythm is none of ``NOT_SINUS`` as read."""
    positive = severity + AMBIGUITY * error > 0
    return not any(positive[INDEX[name]] for name in NOT_SINUS)
