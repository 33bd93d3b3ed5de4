"""The optimal allocation of compute in a table of runs, by three approaches side by side."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np

from analysis.fits.fit import Fit
from analysis.isoflop import envelope, surface
from analysis.isoflop.bias import Bias, measure_bias
from analysis.isoflop.budgets import group_budgets, near_the_lowest
from analysis.isoflop.cautions import caution_study, describe_tokens
from analysis.isoflop.frames import optimum_frame
from analysis.isoflop.optima import Optima, find_optima
from analysis.isoflop.power_laws import PowerLaws, through_optima
from analysis.isoflop.rendering import render_study
from analysis.solvers.objective import Scale
from analysis.tables.filters import drop_duplicates
from analysis.tables.groups import split_groups
from analysis.tables.run_table import RunTable
from analysis.uncertainty.intervals import DEFAULT_REPLICATES, DEFAULT_SEED, Interval
from wardlaw.errors import RecordError

UNWEIGHTED, WEIGHTED = "2: parabolas", "2: weighted"
_LETTERS = ("C", "N", "D", "L")
_Found = TypeVar("_Found")


@dataclass(frozen=True)
class IsoFlopRequest:
    """What is asked of an IsoFLOP study.

    Attributes
    ----------
    tolerance : float
        Fraction by which the compute of one budget's runs may differ.
    window : float
        Parabolas pass through the sizes within this factor of the size with the lowest loss, or through the
        five sizes nearest to it where those are fewer.
    scale : {"raw", "log"}
        Parabolas of the loss, as in arXiv 2203.15556, or of its log.
    replicates, seed : int
        Of the bootstrap.
    """

    tolerance: float = 0.01
    window: float = 4.0
    scale: Scale = "raw"
    replicates: int = DEFAULT_REPLICATES
    seed: int = DEFAULT_SEED

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance < 1:
            raise RecordError(f"{self.tolerance:g} is not a fraction below 1", where="--tolerance")
        if not self.window >= 1:
            raise RecordError(f"{self.window:g} is not a factor of 1 or more", where="--window")


@dataclass(frozen=True)
class Refused:
    """An approach that the runs do not support, and the reason."""

    approach: str
    reason: str


@dataclass(frozen=True)
class IsoFlop:
    """Compute-optimal allocation of one group of runs.

    Attributes
    ----------
    table : RunTable
        The rows used, those dropped, and the notes.
    request : IsoFlopRequest
    optima : Optima
        Of each budget.
    laws : tuple of PowerLaws
        By each approach that the runs support.
    refused : tuple of Refused
        The other approaches, and the bias where it cannot be measured.
    surface : Fit or None
        The Chinchilla law of approach 3.
    bias : Bias or None
        Of approach 2 on that surface.
    warnings : tuple of str
    """

    table: RunTable
    request: IsoFlopRequest
    optima: Optima
    laws: tuple[PowerLaws, ...]
    refused: tuple[Refused, ...]
    surface: Fit | None
    bias: Bias | None
    warnings: tuple[str, ...]

    @property
    def group(self) -> str:
        """Name of the runs together; empty for all of a table."""
        return self.table.group_name

    def summary(self) -> str:
        """The study as the terminal shows it."""
        return render_study(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Everything that a machine may want."""
        largest = float(self.optima.budgets.compute.max())
        return {
            "group": self.group,
            "source": self.table.source,
            "notes": list(self.table.notes),
            "settings": asdict(self.request),
            "largest_compute": largest,
            "budgets": optimum_frame(self.optima).to_dicts(),
            "approaches": [_law_json(law, float(np.log(largest))) for law in self.laws],
            "refused": [vars(one) for one in self.refused],
            "surface": self.surface.to_json() if self.surface else None,
            "bias": asdict(self.bias) if self.bias else None,
            "dropped": [vars(run) for run in self.table.dropped],
            "warnings": list(self.warnings),
        }


def analyse_isoflop(table: RunTable, request: IsoFlopRequest | None = None) -> IsoFlop:
    """Optimal sizes and tokens of a table's compute budgets, and their power laws in the compute.

    Budgets without an optimum inside their sizes and approaches that the runs do not support are listed
    with their reasons; nothing stops for want of them.

    Parameters
    ----------
    table : RunTable
        With N, L, and D or C; the third follows from C = 6 N D.
    request : IsoFlopRequest, optional

    Raises
    ------
    RecordError
        If a letter is unknown, or no run has all of them.
    """
    asked = request or IsoFlopRequest()
    clean = drop_duplicates(table.require(_LETTERS))
    clean = clean.noting(describe_tokens(clean.rows))
    budgets = group_budgets(clean.rows, asked.tolerance)
    draws = {"replicates": asked.replicates, "seed": asked.seed}
    optima = find_optima(budgets, near_the_lowest(budgets, asked.window), asked.scale, **draws)
    fit = _attempt(surface.NAME, lambda: surface.fit_surface(clean.rows, **draws))
    optimum = _attempt(surface.NAME, lambda: surface.surface_laws(fit)) if isinstance(fit, Fit) else fit
    attempts = [
        _attempt(envelope.NAME, lambda: envelope.fit_envelope(clean.rows, **draws)),
        _attempt(UNWEIGHTED, lambda: through_optima(UNWEIGHTED, optima, np.ones(len(budgets.compute)))),
        _attempt(WEIGHTED, lambda: through_optima(WEIGHTED, optima, optima.precision)),
        optimum,
    ]
    laws = tuple(one for one in attempts if isinstance(one, PowerLaws))
    missed = None
    if isinstance(fit, Fit) and isinstance(optimum, PowerLaws):
        missed = _attempt("bias of 2", lambda: measure_bias(optima, fit.law, optimum))
    bias = missed if isinstance(missed, Bias) else None
    return IsoFlop(
        table=clean,
        request=asked,
        optima=optima,
        laws=laws,
        refused=tuple(one for one in (*attempts, missed) if isinstance(one, Refused)),
        surface=fit if isinstance(fit, Fit) else None,
        bias=bias,
        warnings=tuple(caution_study(clean, optima, laws, bias)),
    )


def isoflop_groups(table: RunTable, request: IsoFlopRequest, group: str = "") -> list[IsoFlop]:
    """A study for each group of runs; ``group`` as in ``split_groups``."""
    return [analyse_isoflop(part, request) for part in split_groups(table, group)]


def _attempt(approach: str, fit: Callable[[], _Found]) -> _Found | Refused:
    try:
        return fit()
    except RecordError as error:
        return Refused(approach, error.what)


def _law_json(law: PowerLaws, log_largest: float) -> dict[str, Any]:
    intervals = {
        "a": law.size.exponent,
        "b": law.tokens.exponent,
        "a_tied": law.tied.exponent,
        "a_scatter": law.scatter,
        "k": law.size.coefficient,
        "k_tokens": law.tokens.coefficient,
        "size_at_largest": law.size.value(log_largest),
        "tokens_at_largest": law.tokens.value(log_largest),
    }
    return {
        "approach": law.approach,
        "points": law.points,
        "a_plus_b": law.size.slope + law.tokens.slope,
        "excess_p": law.excess_p,
        **{name: _interval_json(one) for name, one in intervals.items()},
    }


def _interval_json(interval: Interval | None) -> dict[str, float | None] | None:
    return asdict(interval) if interval else None
