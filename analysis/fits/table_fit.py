"""Fit a law to a table of runs: filters, groups, hold-out and predictions together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from analysis.fits.fit import Fit, with_intervals
from analysis.fits.fitters import fit_by
from analysis.fits.predictions import HoldOut, Prediction, judge_holdout, predict_at
from analysis.fits.rendering import render_fit
from analysis.laws.law import ScalingLaw
from analysis.laws.registry import find_law
from analysis.solvers.objective import OBJECTIVES
from analysis.tables.filters import drop_duplicates, split_where
from analysis.tables.groups import split_groups
from analysis.tables.run_table import RunTable
from analysis.tables.sample import take_sample
from analysis.uncertainty.intervals import DEFAULT_REPLICATES, DEFAULT_SEED
from wardlaw.errors import RecordError

# Letters that a law does not see may still differ between its runs.
_UNSEEN = ("N", "D", "H", "M", "S", "P")


@dataclass(frozen=True)
class Request:
    """What is asked of a fit.

    Attributes
    ----------
    law : str
        Name in the registry.
    objective : str
        Name in ``OBJECTIVES``; empty for the law's own.
    fitter : str
        Name in ``FITTERS``.
    fixed : dict of str to float
    start : dict of str to float
        One start instead of the law's grid; None for the grid.
    replicates, seed : int
        Of the bootstrap.
    holdout : str
        Condition of the runs to keep out; empty for none.
    predict : sequence of dict of str to float
        Points to predict, by letter.
    error : str
        Column of the standard errors of the log target: a row then weighs 1 / error^2. Empty for equal
        weights.
    """

    law: str
    objective: str = ""
    fitter: str = "newton"
    fixed: Mapping[str, float] | None = None
    start: Mapping[str, float] | None = None
    replicates: int = DEFAULT_REPLICATES
    seed: int = DEFAULT_SEED
    holdout: str = ""
    predict: Sequence[Mapping[str, float]] = ()
    error: str = ""


@dataclass(frozen=True)
class TableFit:
    """A fit with where its runs came from.

    Attributes
    ----------
    fit : Fit
    table : RunTable
        The rows fitted, those dropped, and the notes.
    holdout : HoldOut or None
    predictions : tuple of Prediction
    warnings : tuple of str
        Those of the fit and of its table.
    """

    fit: Fit
    table: RunTable
    holdout: HoldOut | None
    predictions: tuple[Prediction, ...]
    warnings: tuple[str, ...]

    @property
    def params(self) -> Mapping[str, float]:
        """Fitted parameters by name."""
        return self.fit.law.params_

    def predict(self, **inputs: float) -> Prediction:
        """The law at one point, by letter: ``predict(N=1e9, D=2e10)``."""
        return predict_at(self.fit, _point(self.fit.law, inputs))[0]

    def summary(self) -> str:
        """The fit as the terminal shows it."""
        return render_fit(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Everything that a machine may want."""
        return {
            **self.fit.to_json(),
            "source": self.table.source,
            "reference": self.fit.law.source,
            "notes": list(self.table.notes),
            "dropped": [vars(run) for run in self.table.dropped],
            "holdout": self.holdout.to_json() if self.holdout else None,
            "predictions": [one.to_json() for one in self.predictions],
            "warnings": list(self.warnings),
        }


def fit_table(table: RunTable, request: Request | str) -> TableFit:
    """Fit a law to all runs of a table.

    Parameters
    ----------
    table : RunTable
    request : Request or str
        What to fit; a law's name alone for the rest by default.

    Raises
    ------
    RecordError
        If the runs cannot determine the law.
    """
    request = Request(request) if isinstance(request, str) else request
    law = prepare_law(request)
    letters = (*law.inputs, law.target)
    needed = (*letters, request.error) if request.error else letters
    clean = drop_duplicates(table.require(needed))
    if request.error:
        clean = clean.noting(
            f"runs weigh 1 / {request.error}^2, and a run that is predicted the mean of theirs"
        )
    fitted, held = split_where(clean, request.holdout) if request.holdout else (clean, None)
    sample = take_sample(fitted.rows, law.inputs, law.target, fitted.group_name, request.error)
    fit_by(request.fitter, law, sample, fixed=request.fixed, start=request.start, source=table.source)
    fit = with_intervals(law, sample, columns=None, replicates=request.replicates, seed=request.seed)
    points = [_point(law, point) for point in request.predict]
    predictions = predict_at(fit, np.concatenate(points), seed=request.seed) if points else []
    return TableFit(
        fit=fit,
        table=fitted,
        holdout=_judge(fit, request.holdout, held) if held else None,
        predictions=tuple(predictions),
        warnings=(*fit.warnings, *unseen_letters(law, fitted.rows), *left_out(fitted)),
    )


def fit_groups(table: RunTable, request: Request, group: str = "") -> list[TableFit]:
    """Fit a law to each group of runs apart.

    Parameters
    ----------
    table : RunTable
    request : Request
    group : str
        As in ``split_groups``.

    Returns
    -------
    list of TableFit
        Of the groups that can be fitted; the others stand in their warnings, with the reason.

    Raises
    ------
    RecordError
        If no group can be fitted.
    """
    fits: list[TableFit] = []
    refused: list[RecordError] = []
    for part in split_groups(table, group, find_law(request.law).inputs):
        try:
            fits.append(fit_table(part, request))
        except RecordError as error:
            refused.append(error)
    if not fits:
        raise refused[0]
    told = tuple(f"not fitted: {error.where}: {error.what}" for error in refused)
    return [replace(one, warnings=(*one.warnings, *told)) for one in fits]


def prepare_law(request: Request) -> ScalingLaw:
    """The law that is asked for, not fitted yet, with its objective."""
    law = find_law(request.law)
    if not request.objective:
        return law()
    if request.objective not in OBJECTIVES:
        raise RecordError(
            f"there is no objective '{request.objective}'",
            where="--objective",
            remedy=f"Use one of {', '.join(OBJECTIVES)}",
        )
    return law(OBJECTIVES[request.objective])


def _point(law: ScalingLaw, inputs: Mapping[str, float]) -> np.ndarray[Any, np.dtype[np.float64]]:
    if missing := [name for name in law.inputs if name not in inputs]:
        raise RecordError(
            f"the {law.name} law needs {', '.join(missing)} to predict",
            where="--predict",
            remedy=f"Give {','.join(f'{name}=...' for name in law.inputs)}",
        )
    if unknown := sorted(inputs.keys() - set(law.inputs)):
        raise RecordError(
            f"the {law.name} law has no input {', '.join(unknown)}",
            where="--predict",
            remedy=f"It has {', '.join(law.inputs)}",
        )
    return np.array([[float(inputs[name]) for name in law.inputs]])


def _judge(fit: Fit, condition: str, held: RunTable) -> HoldOut:
    rows = held.rows
    compute = rows["C"].cast(pl.Float64).to_numpy() if "C" in rows.columns else None
    held_sample = take_sample(rows, fit.law.inputs, fit.law.target)
    return judge_holdout(fit, condition, held_sample.inputs, held_sample.target, compute)


def unseen_letters(law: ScalingLaw, rows: pl.DataFrame) -> list[str]:
    """Letters that vary among runs at the same inputs, and that the law does not see."""
    seen = list(law.inputs)
    # Private runs draw other tokens than those without privacy, at whose points they then never are.
    beside = {"S": [letter for letter in seen if letter not in "DCT"]}
    return [
        f"runs differ in {letter}, which this law does not see: fit a law of {letter}, or choose runs"
        for letter in _UNSEEN
        if letter in rows.columns
        and letter not in seen
        and rows.schema[letter].is_numeric()
        and _most_values(rows, letter, beside.get(letter, seen)) != 1
        and not (letter == "D" and "C" in seen)
    ]


def _most_values(rows: pl.DataFrame, letter: str, at: Sequence[str]) -> int:
    """Most values of a letter among rows that agree in others."""
    found = rows.group_by(at).agg(pl.col(letter).n_unique())[letter] if at else [rows[letter].n_unique()]
    return max(found)


def left_out(table: RunTable) -> list[str]:
    """A warning where rows of a table are not used."""
    number = len(table.dropped)
    return [f"{number} row{'s were' if number > 1 else ' was'} left out"] if number else []
