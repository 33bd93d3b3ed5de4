"""The best scores that any model can give: what the rule leaves open once the severities are known."""

from collections.abc import Iterable

import numpy as np
from scipy.special import ndtr

from client.ecg.classes import CLASSES
from client.ecg.synthetic.patient import draw_patient
from client.ecg.synthetic.rule import AMBIGUITY, FINDINGS, INDEX, SINUS_RHYTHM, Floats
from client.ecg.synthetic.site import SyntheticSite


def oracle_scores(site: SyntheticSite, patients: Iterable[int]) -> Floats:
    """P(label | severities) of each patient and class: ranking by it gives the AUROC the rule allows.

    A signal tells its severities at best, and less where noise or the length of a crop hides
    them; so a model's AUROC exceeds this one's by chance only.

    Parameters
    ----------
    site : SyntheticSite
    patients : iterable of int
        Their numbers at the site.

    Returns
    -------
    (patients, classes)
        In the order of ``client.ecg.classes.CLASSES``; 0 for classes that are never labelled.
    """
    severity = np.array([draw_patient(site, number).severity for number in patients])
    return label_probabilities(severity.reshape(-1, len(FINDINGS)), site.sinus_reported)


def label_probabilities(severity: Floats, sinus_reported: float = 1.0) -> Floats:
    """P(label | severities), (patients, classes), from severities (patients, findings)."""
    positive = ndtr(severity / AMBIGUITY)
    scores = np.zeros((len(severity), len(CLASSES)))
    for number, finding in enumerate(FINDINGS):
        shown = 1 - positive[:, INDEX[finding.hidden_by]] if finding.hidden_by else 1.0
        scores[:, CLASSES.index(finding.code)] = positive[:, number] * shown
    # Fast and slow exclude each other, the others are independent given the severities.
    regular = 1 - positive[:, INDEX["STach"]] - positive[:, INDEX["SB"]]
    sinus = regular * (1 - positive[:, INDEX["AF"]]) * (1 - positive[:, INDEX["SA"]])
    scores[:, CLASSES.index(SINUS_RHYTHM)] = np.maximum(sinus, 0) * sinus_reported
    return scores
