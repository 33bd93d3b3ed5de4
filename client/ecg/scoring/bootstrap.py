"""Intervals from resampled patients that stay right when a resample lacks a class.

A class with k positive patients is absent from about exp(-k) of the resamples, and its figures do not exist
there. Counted as zero they drag a macro average so far down that the point estimate can lie outside its own
interval. Here an absent class is left out of that resample. Two shifts remain, and are taken out: without
its absent classes an average is over other classes, and a patient drawn twice ranks beside their own copy,
which raises AUPRC.
"""

from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from client.ecg.scoring.figures import Figures, Predictions, macro, measure
from wardlaw.seeds import generator

Floats = NDArray[np.float64]

_CELLS = 1 << 22
"""Most weights held at a time, so that memory does not grow with the number of resamples."""


def resample(predictions: Predictions, patients: NDArray[np.str_], *, resamples: int, seed: int) -> Figures:
    """Figures of resamples in which patients, each with all of their records, are drawn with replacement.

    A class that the records have and a resample lacks has NaN there in every figure of its own, also where
    the Challenge's F-measure would be 0.

    Parameters
    ----------
    predictions : Predictions
    patients : (n,) array
        Patient of each record.
    resamples : int
    seed : int
        Root of the resampling stream.
    """
    names, owner = np.unique(patients, return_inverse=True)
    stream = generator(seed, "bootstrap", "patients")
    chance = np.full(len(names), 1 / len(names))
    block = max(1, _CELLS // len(owner))
    parts = [
        measure(
            predictions,
            stream.multinomial(len(names), chance, size=min(block, resamples - done))[:, owner].astype(float),
        )
        for done in range(0, resamples, block)
    ]
    return _without_absent(_joined(parts), predictions.labels.max(axis=0) == 1)


def interval(point: Floats, values: Floats, level: float = 0.95, least: float = 0.0) -> tuple[float, float]:
    """Interval of a mean over classes that have a figure; of one class's figure if only one is given.

    Percentiles of the resamples' means, moved in two steps. First their centre is put on the point estimate.
    Then the bootstrap's estimate of bias is subtracted (Efron and Tibshirani, An Introduction to the
    Bootstrap, 1993, chapter 10): how much resamples differ on average from the point estimate over *the same
    classes*.

    Parameters
    ----------
    point : (classes,) array
        Figures of the records; NaN for a class that has none.
    values : (b, classes) array
        Figures of the resamples; NaN where a resample lacks the class.
    level : float
    least : float
        Least possible value; the most is 1.

    Returns
    -------
    low, high : float
        The point estimate is never outside. NaN if there is none, or no resample has a figure.
    """
    means = macro(values)
    alike = macro(np.where(np.isfinite(values), point, np.nan))
    drawn = np.isfinite(means)
    whole = macro(point[None])[0]
    if not drawn.any() or not np.isfinite(whole):
        return float("nan"), float("nan")
    bias = np.mean(means[drawn] - alike[drawn])
    spread = np.percentile(means[drawn], [50 * (1 - level), 50 * (1 + level)]) - np.mean(means[drawn])
    low, high = np.clip(whole + spread - bias, least, 1)
    return float(min(low, whole)), float(max(high, whole))


def _joined(parts: list[Figures]) -> Figures:
    return Figures(
        **{
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(Figures)
        }
    )


def _without_absent(figures: Figures, known: NDArray[np.bool_]) -> Figures:
    absent = known & (figures.positives == 0)
    left = {
        name: np.where(absent, np.nan, getattr(figures, name)) for name in ("f_measure", "auroc", "auprc")
    }
    return Figures(figures.challenge_metric, figures.accuracy, **left, positives=figures.positives)
