"""Intervals from resampled patients that stay right when a resample lacks a class.

A class with k positive patients is absent from about exp(-k) of the resamples, and its figures do not exist
there. Counted as zero they drag a macro average so far down that the point estimate can lie outside its own
interval. Here an absent class is left out of that resample: its own interval comes from the resamples that
have it, and a macro average is over the classes that are there, as the point estimate is over the classes
that the records have.
"""

from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from client.ecg.scoring.figures import Figures, Predictions, measure
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


def interval(values: Floats, level: float = 0.95) -> Floats:
    """Percentile interval over the resamples that have a figure.

    Parameters
    ----------
    values : (b,) or (b, classes) array
    level : float

    Returns
    -------
    (2,) or (2, classes) array
        Low and high; NaN where no resample has a figure.
    """
    columns = values.reshape(len(values), -1).T
    ends = [50 * (1 - level), 50 * (1 + level)]
    found = [
        np.percentile(column[np.isfinite(column)], ends) if np.isfinite(column).any() else (np.nan, np.nan)
        for column in columns
    ]
    limits: Floats = np.array(found).T.reshape(2, *values.shape[1:])
    return limits


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
