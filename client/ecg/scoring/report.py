"""One account of a set of predictions: for programs a JSON object, for people a table."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.ecg.classes import ABBREVIATIONS, CLASSES, EQUIVALENTS
from client.ecg.scoring.bootstrap import interval
from client.ecg.scoring.figures import Figures, Predictions, macro, measure

Floats = NDArray[np.float64]

_SHOWN = 8
"""Most ignored columns that are named."""


def report(predictions: Predictions, resampled: Figures | None = None) -> dict[str, Any]:
    """Figures over all classes and of each, with 95 % intervals if there are resamples.

    Parameters
    ----------
    predictions : Predictions
    resampled : Figures, optional
        From ``bootstrap.resample`` of the same predictions.

    Returns
    -------
    dict
        ``records``; ``challenge_metric``, ``accuracy``; ``auroc``, ``auprc``, ``f_measure`` averaged over
        the classes that have them; ``classes``: by each class's first code its ``codes``, ``abbreviation``,
        ``positives`` and figures. With resamples, ``intervals`` beside each set of figures, a
        [low, high] each. A figure that does not exist is None.
    """
    figures = measure(predictions)
    overall, by_class = _overall(figures), _by_class(figures)
    account: dict[str, Any] = {
        "records": len(predictions.labels),
        **{name: _number(values[0]) for name, values in overall.items()},
    }
    classes: dict[str, dict[str, Any]] = {
        code: {
            "codes": list(EQUIVALENTS[number]),
            "abbreviation": ABBREVIATIONS[number],
            "positives": int(figures.positives[0, number]),
            **{name: _number(values[0, number]) for name, values in by_class.items()},
        }
        for number, code in enumerate(CLASSES)
    }
    if resampled:
        account["intervals"] = _overall_intervals(figures, resampled)
        for number, code in enumerate(CLASSES):
            classes[code]["intervals"] = {
                name: _ends(values[0, [number]], _by_class(resampled)[name][:, [number]])
                for name, values in by_class.items()
            }
    return {**account, "classes": classes}


def told(account: dict[str, Any]) -> str:
    """Plain-text table of a report; a dash where a figure does not exist."""
    overall = ("challenge_metric", "auroc", "auprc", "f_measure", "accuracy")
    ranges = account.get("intervals", {})
    lines = [f"{account['records']:,} records"]
    lines += [f"  {name:18}{_shown(account[name])}{_range(ranges.get(name))}" for name in overall]
    lines.append(f"\n  {'class':32}{'positives':>9}{'auroc':>8}{'auprc':>8}{'f':>8}")
    for code, entry in account["classes"].items():
        shown = "".join(f"{_shown(entry[name]):>8}" for name in ("auroc", "auprc", "f_measure"))
        lines.append(f"  {code:12}{entry['abbreviation']:20}{entry['positives']:>9,}{shown}")
    return "\n".join(lines + _notes(account))


def _notes(account: dict[str, Any]) -> list[str]:
    """What a reader of the table should know of its making."""
    notes = []
    if account.get("unlabelled_classes"):
        notes.append(f"no column in labels, counted as absent: {', '.join(account['unlabelled_classes'])}")
    for file, columns in account.get("ignored_columns", {}).items():
        if columns:
            more = f" and {len(columns) - _SHOWN} more" if len(columns) > _SHOWN else ""
            notes.append(f"not scored, left out of {file}: {', '.join(columns[:_SHOWN])}{more}")
    return notes


def _overall(figures: Figures) -> dict[str, Floats]:
    averages = {name: macro(values) for name, values in _by_class(figures).items()}
    return {"challenge_metric": figures.challenge_metric, "accuracy": figures.accuracy, **averages}


def _by_class(figures: Figures) -> dict[str, Floats]:
    return {"auroc": figures.auroc, "auprc": figures.auprc, "f_measure": figures.f_measure}


def _overall_intervals(figures: Figures, resampled: Figures) -> dict[str, list[float | None]]:
    # The Challenge metric alone can be negative.
    metric = _ends(figures.challenge_metric, resampled.challenge_metric[:, None], least=-math.inf)
    accuracy = _ends(figures.accuracy, resampled.accuracy[:, None])
    averages = {
        name: _ends(values[0], _by_class(resampled)[name]) for name, values in _by_class(figures).items()
    }
    return {"challenge_metric": metric, "accuracy": accuracy, **averages}


def _ends(point: Floats, values: Floats, least: float = 0.0) -> list[float | None]:
    return [_number(end) for end in interval(point, values, least=least)]


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _range(ends: list[float | None] | None) -> str:
    return f"  [{_shown(ends[0])}, {_shown(ends[1])}]" if ends and ends[0] is not None else ""
