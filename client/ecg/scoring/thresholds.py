"""Where a score becomes a yes: thresholds chosen on the tuning split, used on the held-out one."""

import numpy as np
from numpy.typing import NDArray

from wardlaw.errors import DataError

Floats = NDArray[np.float64]


def choose_thresholds(labels: NDArray[np.uint8], scores: Floats) -> Floats:
    """Threshold of each class with the best F-measure on these records.

    Candidates are the class's own scores; of equally good ones the highest is taken. A class that no record
    has takes the one threshold that is best for all classes pooled.

    Parameters
    ----------
    labels, scores : (n, classes) arrays
        Of the tuning split.

    Returns
    -------
    (classes,) array

    Raises
    ------
    DataError
        If no record has any class.
    """
    if not labels.any():
        raise DataError(
            "no record of the tuning split has a class", remedy="Choose thresholds on labelled records"
        )
    pooled = _best_threshold(labels.ravel(), scores.ravel())
    own = [_best_threshold(label, score) for label, score in zip(labels.T, scores.T, strict=True)]
    return np.where(labels.any(axis=0), own, pooled)


def decide(scores: Floats, thresholds: Floats) -> NDArray[np.uint8]:
    """Outputs: 1 where a score reaches its class's threshold, shape as the scores."""
    return (scores >= thresholds).astype(np.uint8)


def _best_threshold(labels: NDArray[np.uint8], scores: Floats) -> float:
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    hits = np.cumsum(labels[order], dtype=np.float64)
    answered = np.arange(1, len(ranked) + 1)
    measure = 2 * hits / (answered + labels.sum(dtype=np.float64))
    # Equal scores are answered alike: only the last of them is a candidate.
    measure[:-1][ranked[1:] == ranked[:-1]] = -1
    return float(ranked[np.argmax(measure)])
