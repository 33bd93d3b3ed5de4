"""All figures of a set of predictions, for the records as they are or for resamples of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client.ecg.scoring.challenge import challenge_metric
from client.ecg.scoring.decisions import exact_match, f_measure
from client.ecg.scoring.ranking import auprc, auroc

Binary = NDArray[np.uint8]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Predictions:
    """What was true of each record, and what a model said.

    Attributes
    ----------
    labels, outputs : (n, 26) arrays of uint8
        0 or 1, columns in the order of ``client.ecg.classes.CLASSES``.
    scores : (n, 26) array of float64, or None
        In [0, 1]; None if only outputs are known.
    """

    labels: Binary
    outputs: Binary
    scores: Floats | None = None


@dataclass(frozen=True, eq=False)
class Figures:
    """Figures of b resamples of the same records; shapes (b,) or (b, 26).

    Attributes
    ----------
    challenge_metric, accuracy : (b,) arrays
    f_measure, auroc, auprc : (b, 26) arrays
        NaN where a class has no such figure; ``auroc`` and ``auprc`` also where there are no scores.
    positives : (b, 26) array
        Records that have a class.
    """

    challenge_metric: Floats
    accuracy: Floats
    f_measure: Floats
    auroc: Floats
    auprc: Floats
    positives: Floats


def measure(predictions: Predictions, weights: Floats | None = None) -> Figures:
    """Figures of the records, each counted as often as a row of weights says.

    Parameters
    ----------
    predictions : Predictions
    weights : (b, n) array, optional
        Each record once if left out.
    """
    labels, outputs = predictions.labels.astype(float), predictions.outputs.astype(float)
    scores = predictions.scores
    weights = np.ones((1, len(labels))) if weights is None else weights
    unranked = np.full((len(weights), labels.shape[1]), np.nan)
    return Figures(
        challenge_metric=challenge_metric(labels, outputs, weights),
        accuracy=exact_match(labels, outputs, weights),
        f_measure=f_measure(labels, outputs, weights),
        auroc=unranked if scores is None else auroc(labels, scores, weights),
        auprc=unranked if scores is None else auprc(labels, scores, weights),
        positives=weights @ labels,
    )


def macro(values: Floats) -> Floats:
    """Mean over the classes that have a figure: (b, classes) -> (b,); NaN where none has."""
    defined = np.isfinite(values)
    count = defined.sum(axis=1)
    total = np.where(defined, values, 0).sum(axis=1)
    mean: Floats = np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)
    return mean
