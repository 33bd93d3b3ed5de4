"""Figures of graded scores: AUROC and AUPRC of each class.

The Challenge's trapezoid under the ROC curve is the share of pairs in the right order, ties counting a
half; its AUPRC is average precision. Both are NaN for a class that no record has.
"""

import numpy as np
from numpy.typing import NDArray

from client.evaluation.metrics import Metric, weighted_auroc, weighted_average_precision

Floats = NDArray[np.float64]


def auroc(labels: Floats, scores: Floats, weights: Floats) -> Floats:
    """Area under the ROC curve of each class.

    Parameters
    ----------
    labels, scores : (n, classes) arrays
        Labels are 0 or 1; higher scores speak for a class.
    weights : (b, n) array
        Multiplicity of each record in each of b resamples.

    Returns
    -------
    (b, classes) array
        NaN where all records have a class, or none has.
    """
    return _each_class(weighted_auroc, labels, scores, weights)


def auprc(labels: Floats, scores: Floats, weights: Floats) -> Floats:
    """Average precision of each class, NaN where no record has it; arguments and shapes as in `auroc`."""
    return _each_class(weighted_average_precision, labels, scores, weights)


def _each_class(metric: Metric, labels: Floats, scores: Floats, weights: Floats) -> Floats:
    columns = [metric(column, score, weights) for column, score in zip(labels.T, scores.T, strict=True)]
    return np.stack(columns, axis=1)
