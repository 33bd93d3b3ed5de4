"""Figures of yes-or-no outputs: F-measure of each class, share of records with every class right.

As the PhysioNet/CinC Challenge 2021 defines them (Reyna et al. 2021).
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def f_measure(labels: Floats, outputs: Floats, weights: Floats) -> Floats:
    """Harmonic mean of precision and recall of each class.

    Parameters
    ----------
    labels, outputs : (n, classes) arrays
        0 or 1.
    weights : (b, n) array
        Multiplicity of each record in each of b resamples.

    Returns
    -------
    (b, classes) array
        NaN where a class is neither labelled nor answered; 0 where it is only answered.
    """
    hits = weights @ (labels * outputs)
    named = weights @ labels + weights @ outputs
    share: Floats = np.divide(2 * hits, named, out=np.full_like(named, np.nan), where=named > 0)
    return share


def exact_match(labels: Floats, outputs: Floats, weights: Floats) -> Floats:
    """Share of records with all classes right, shape (b,): the Challenge's accuracy."""
    right = (labels == outputs).all(axis=1).astype(np.float64)
    share: Floats = weights @ right / weights.sum(axis=1)
    return share
