"""The Challenge metric: full credit for a right diagnosis, part for one that leads to much the same care.

PhysioNet/Computing in Cardiology Challenge 2021 (Reyna et al., "Will two do? Varying dimensions in
electrocardiography", CinC 2021), section on scoring.
"""

import numpy as np
from numpy.typing import NDArray

from client.ecg.classes import CLASSES, SINUS, challenge_weights

Floats = NDArray[np.float64]


def challenge_metric(labels: Floats, outputs: Floats, weights: Floats) -> Floats:
    """Credit of the outputs on a scale where always sinus rhythm has 0 and the labels themselves have 1.

    Parameters
    ----------
    labels, outputs : (n, 26) arrays
        0 or 1, columns in the order of ``CLASSES``.
    weights : (b, n) array
        Multiplicity of each record in each of b resamples.

    Returns
    -------
    (b,) array
        0 where the labels earn no more than always sinus rhythm.
    """
    sinus = np.zeros_like(labels)
    sinus[:, CLASSES.index(SINUS)] = 1
    observed, best, inactive = (
        weights @ record_credit(labels, answers) for answers in (outputs, labels, sinus)
    )
    scaled: Floats = np.divide(
        observed - inactive, best - inactive, out=np.zeros_like(best), where=best != inactive
    )
    return scaled


def record_credit(labels: Floats, outputs: Floats) -> Floats:
    """Credit that each record's outputs earn, shape (n,), before it is scaled.

    The credits of all pairs of a label and an output, divided by the number of classes in either, at least 1.
    """
    named = np.maximum(labels, outputs).sum(axis=1)
    credit: Floats = ((labels @ challenge_weights()) * outputs).sum(axis=1) / np.maximum(named, 1)
    return credit
