"""Discrimination metrics with bootstrap intervals over patients.

AUROC hides what federation costs on rare outcomes, AUPRC shows it; both are
reported beside the prevalence, which is the AUPRC of a constant prediction.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardlaw.seeds import generator

Floats = NDArray[np.float64]
Metric = Callable[[Floats, Floats, Floats], Floats]


@dataclass(frozen=True)
class Interval:
    """A figure and its 95 % percentile interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Discrimination:
    """How well scores separate positives from negatives.

    Attributes
    ----------
    auroc, auprc : Interval
    prevalence : float
        Share of positives: the AUPRC of the majority baseline, whose AUROC is 0.5.
    predictions, positives, patients : int
        Sizes behind the figures.
    """

    auroc: Interval
    auprc: Interval
    prevalence: float
    predictions: int
    positives: int
    patients: int


def weighted_auroc(labels: Floats, scores: Floats, weights: Floats) -> Floats:
    """Area under the ROC curve for each row of weights; ties count a half.

    Parameters
    ----------
    labels, scores : (n,) arrays
        Labels are 0 or 1; scores are in the same order.
    weights : (b, n) array
        Multiplicity of each prediction in each of b resamples.

    Returns
    -------
    (b,) array
        NaN where a resample has one class only.
    """
    order, group = _tie_groups(scores)
    positives = _grouped_sums(weights[:, order] * labels[order], group)
    negatives = _grouped_sums(weights[:, order] * (1 - labels[order]), group)
    below = np.cumsum(negatives, axis=1) - negatives
    wins = (positives * (below + negatives / 2)).sum(axis=1)
    return _ratio(wins, positives.sum(axis=1) * negatives.sum(axis=1))


def weighted_average_precision(labels: Floats, scores: Floats, weights: Floats) -> Floats:
    """Average precision, sum of (recall step) x precision, for each row of weights.

    Tied scores enter together, as one threshold. Shapes as in `weighted_auroc`.
    """
    order, group = _tie_groups(-scores)
    positives = _grouped_sums(weights[:, order] * labels[order], group)
    totals = _grouped_sums(weights[:, order], group)
    precision = _ratio(np.cumsum(positives, axis=1), np.cumsum(totals, axis=1))
    area = (positives * np.nan_to_num(precision)).sum(axis=1)
    return _ratio(area, positives.sum(axis=1))


def discrimination(
    labels: Floats, scores: Floats, patients: NDArray[np.int64], *, resamples: int, seed: int
) -> Discrimination:
    """AUROC and AUPRC with percentile intervals from resampling patients.

    All predictions of a patient are drawn together. Resamples with one class only have
    no AUROC and are left out of its interval, never counted as zero.

    Parameters
    ----------
    labels, scores : (n,) arrays
    patients : (n,) array
        Patient of each prediction.
    resamples : int
    seed : int
        Root of the resampling stream.
    """
    names, owner = np.unique(patients, return_inverse=True)
    draws = generator(seed, "bootstrap", "patients").multinomial(
        len(names), np.full(len(names), 1 / len(names)), size=resamples
    )
    weights = draws[:, owner].astype(np.float64)
    ones = np.ones((1, len(labels)))

    def interval(metric: Metric) -> Interval:
        low, high = _percentiles(metric(labels, scores, weights))
        return Interval(float(metric(labels, scores, ones)[0]), low, high)

    return Discrimination(
        auroc=interval(weighted_auroc),
        auprc=interval(weighted_average_precision),
        prevalence=float(np.mean(labels)),
        predictions=len(labels),
        positives=int(labels.sum()),
        patients=len(names),
    )


def _tie_groups(keys: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    return order, starts


def _grouped_sums(values: Floats, starts: NDArray[np.intp]) -> Floats:
    sums: Floats = np.add.reduceat(values, starts, axis=1)
    return sums


def _ratio(above: Floats, below: Floats) -> Floats:
    quotient: Floats = np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0)
    return quotient


def _percentiles(values: Floats) -> tuple[float, float]:
    defined = values[np.isfinite(values)]
    if not len(defined):
        return float("nan"), float("nan")
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)
