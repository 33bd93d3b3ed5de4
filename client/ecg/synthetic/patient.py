"""A generated patient: a pure function of the seed, the site's name and the patient's number."""

from dataclasses import dataclass

import numpy as np

from client.ecg.synthetic.rule import (
    AMBIGUITY,
    FINDINGS,
    SINUS_RHYTHM,
    Floats,
    is_sinus,
    labelled,
    paired,
    thresholds,
)
from client.ecg.synthetic.site import SyntheticSite
from wardlaw.seeds import generator

YOUNGEST, OLDEST = 18, 95
_AGEING: Floats = np.array([finding.ageing for finding in FINDINGS])
_CODES = tuple(finding.code for finding in FINDINGS)


@dataclass(frozen=True, eq=False)
class Patient:
    """Who a record is of.

    Attributes
    ----------
    age : int
        Years.
    sex : {"female", "male"}
    severity : (findings,)
        In the order of ``rule.FINDINGS``.
    diagnoses : tuple of str
        SNOMED CT codes of the labels.
    """

    age: int
    sex: str
    severity: Floats
    diagnoses: tuple[str, ...]


def draw_patient(site: SyntheticSite, number: int) -> Patient:
    """Patient ``number`` of a site.

    Age moves the severities of some findings and leaves their prevalences as they are.
    """
    rng = generator(site.seed, "synthetic-ecg", site.site, number, "patient")
    age = int(np.clip(round(rng.normal(site.age_mean, site.age_spread)), YOUNGEST, OLDEST))
    sex = "female" if rng.random() < site.female else "male"
    own, error = rng.normal(size=(2, len(FINDINGS)))
    older = (age - site.age_mean) / site.age_spread
    propensity = paired(_AGEING * older + np.sqrt(1 - _AGEING**2) * own)
    severity = np.sqrt(1 - AMBIGUITY**2) * propensity - thresholds(site.shares)
    error = paired(error)
    codes = [code for code, present in zip(_CODES, labelled(severity, error), strict=True) if present]
    if is_sinus(severity, error) and rng.random() < site.sinus_reported:
        codes.append(SINUS_RHYTHM)
    return Patient(age, sex, severity, tuple(codes))
