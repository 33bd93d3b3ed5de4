"""Figures of answers: macro averages over the classes that can be scored, with intervals over patients."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client.ecg.evaluation.answers import Answers, Classes, Floats, learnable
from client.ecg.scoring.bootstrap import interval, resample
from client.ecg.scoring.figures import Figures, Predictions, macro, measure
from client.ecg.scoring.thresholds import choose_thresholds, decide
from client.evaluation.metrics import Interval

FIGURES = ("auroc", "auprc", "f_measure", "challenge_metric")

_LEAST = 1e-7
"""Probability below which a wrong answer costs no more."""


@dataclass(frozen=True)
class Scores:
    """How good answers are.

    Attributes
    ----------
    auroc, auprc, f_measure : Interval
        Means over the classes scored: those with answers, and with both positives and negatives among
        these records.
    challenge_metric : Interval
        Over all 26 classes: one without answers counts as never given.
    loss : float
        Binary cross-entropy over the classes with answers, nats a label.
    classes : int
        Number of classes scored.
    labels, positives : int
        Of the classes scored, over all records.
    prevalence : float
        Positives over labels: the macro AUPRC of answers that know nothing.
    records, patients : int
    """

    auroc: Interval
    auprc: Interval
    f_measure: Interval
    challenge_metric: Interval
    loss: float
    classes: int
    labels: int
    positives: int
    prevalence: float
    records: int
    patients: int


def outputs_of(answers: Answers, tuning_labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Yes or no to each question asked, (n, 26), by thresholds chosen on tuning.

    Raises
    ------
    DataError
        If no record of the tuning split has a class.
    """
    thresholds = choose_thresholds(tuning_labels, answers.tuning)
    return decide(answers.asked, thresholds) * answers.answered.astype(np.uint8)


def score(
    predictions: Predictions,
    answered: Classes,
    patients: NDArray[np.str_],
    *,
    resamples: int,
    seed: int,
) -> Scores:
    """Figures of some records' answers.

    Parameters
    ----------
    predictions : Predictions
        With scores.
    answered : (26,) array of bool
        Classes with answers.
    patients : (n,) array
        Patient of each record; patients are resampled whole.
    resamples : int
        Behind each interval; no interval, NaN, at 0.
    seed : int
    """
    labels, scores = predictions.labels, predictions.scores
    if scores is None:
        raise ValueError("predictions without scores")
    scored = answered & learnable(labels)
    value = _by_name(measure(predictions), scored)
    drawn = (
        _by_name(resample(predictions, patients, resamples=resamples, seed=seed), scored) if resamples else {}
    )
    figures = {name: _interval(value[name], drawn.get(name)) for name in FIGURES}
    positives, count = int(labels[:, scored].sum()), labels[:, scored].size
    return Scores(
        **figures,
        loss=_cross_entropy(labels[:, answered], scores[:, answered]),
        classes=int(scored.sum()),
        labels=count,
        positives=positives,
        prevalence=positives / count if count else float("nan"),
        records=len(labels),
        patients=len(np.unique(patients)),
    )


def _by_name(figures: Figures, scored: Classes) -> dict[str, Floats]:
    """Figures whose mean over columns is reported, (b, columns); NaN for a class that is not scored."""
    by_class = {
        name: np.where(scored, getattr(figures, name), np.nan) for name in ("auroc", "auprc", "f_measure")
    }
    return by_class | {"challenge_metric": figures.challenge_metric[:, None]}


def _interval(point: Floats, drawn: Floats | None) -> Interval:
    value = float(macro(point)[0])
    if drawn is None:
        return Interval(value, np.nan, np.nan)
    # The Challenge metric, the one column, has no least value; the others are shares.
    return Interval(value, *interval(point[0], drawn, least=-np.inf if drawn.shape[1] == 1 else 0.0))


def _cross_entropy(labels: NDArray[np.uint8], scores: Floats) -> float:
    right = np.where(labels == 1, scores, 1 - scores)
    return float(-np.log(np.maximum(right, _LEAST)).mean()) if right.size else float("nan")
