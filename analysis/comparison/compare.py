"""Groups of runs against a reference: exponents and efficiencies, from one law fitted to each."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from analysis.comparison.curves import Efficiency
from analysis.comparison.efficiency import input_efficiencies
from analysis.comparison.exponents import exponent_differences
from analysis.comparison.groups import taken_apart
from analysis.comparison.rendering import render_comparison
from analysis.comparison.slopes import transfer_efficiency
from analysis.fits.fit import Fit
from analysis.fits.table_fit import Request, TableFit, fit_table, prepare_law
from analysis.tables.groups import group_columns
from analysis.tables.measures import compute_warnings
from analysis.tables.run_table import RunTable
from analysis.tables.sample import Sample
from analysis.uncertainty.intervals import Interval
from wardlaw.errors import RecordError


@dataclass(frozen=True)
class Contrast:
    """One group against the reference.

    Attributes
    ----------
    group : str
    exponents : dict of str to Interval
        Exponent of the group minus that of the reference, by name.
    efficiencies : tuple of Efficiency
    paired : int
        Runs of the group that have a counterpart in the reference: the same inputs and seed.
    warnings : tuple of str
    """

    group: str
    exponents: Mapping[str, Interval]
    efficiencies: tuple[Efficiency, ...]
    paired: int
    warnings: tuple[str, ...]

    def curves(self, reference: str) -> pl.DataFrame:
        """Efficiencies as one tidy table: ``group``, ``reference``, ``kind``, ``Efficiency.curve``."""
        tables = [
            one.curve.select(
                pl.lit(self.group).alias("group"),
                pl.lit(reference).alias("reference"),
                pl.lit(one.kind).alias("kind"),
                pl.all(),
            )
            for one in self.efficiencies
        ]
        return pl.concat(tables) if tables else pl.DataFrame()

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "group": self.group,
            "exponent_differences": {
                name: {"difference": one.estimate, "low": one.low, "high": one.high}
                for name, one in self.exponents.items()
            },
            "efficiencies": [one.to_json() for one in self.efficiencies],
            "paired_runs": self.paired,
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True)
class Comparison:
    """Groups of runs against one of them.

    Attributes
    ----------
    column : str
        What tells the groups apart.
    reference : str
    fits : dict of str to TableFit
        By group, the reference first.
    contrasts : tuple of Contrast
        One a group besides the reference.
    warnings : tuple of str
        Those of the table; each fit has its own.
    """

    column: str
    reference: str
    fits: Mapping[str, TableFit]
    contrasts: tuple[Contrast, ...]
    warnings: tuple[str, ...]

    @property
    def curves(self) -> pl.DataFrame:
        """All efficiencies as one tidy table: ``group``, ``reference``, ``kind``, ``Efficiency.curve``."""
        tables = [contrast.curves(self.reference) for contrast in self.contrasts]
        return pl.concat(tables) if tables else pl.DataFrame()

    def summary(self) -> str:
        """The comparison as the terminal shows it."""
        return render_comparison(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Everything that a machine may want."""
        fits = {name: one.to_json() for name, one in self.fits.items()}
        reference = fits[self.reference]
        return {
            "column": self.column,
            "reference": self.reference,
            **{key: reference[key] for key in ("law", "formula", "source")},
            "fits": fits,
            "contrasts": [contrast.to_json() for contrast in self.contrasts],
            "warnings": list(self.warnings),
        }


def compare(
    table: RunTable,
    *,
    group: str = "",
    reference: str,
    law: str | Request,
    against: Sequence[str] = (),
    held: Mapping[str, float] | None = None,
    levels: Sequence[float] = (),
) -> Comparison:
    """Fit one law to each group of runs, and compare groups with a reference.

    Parameters
    ----------
    table : RunTable
    group : str
        Column that tells the groups apart (or several, with commas); the table's own if empty.
    reference : str
        Value of the reference group.
    law : str or Request
        Name of the law, or a request with its objective, bootstrap and so on.
    against : sequence of str
        Values of the groups to compare with it; all others if empty.
    held : dict of str to float, optional
        Where a law's other inputs are held; the largest value that both groups reach if not said.
    levels : sequence of float
        Further losses at which to judge efficiencies.

    Raises
    ------
    RecordError
        If there is no such column, value or level, or a group's runs cannot determine the law.
    """
    request = Request(law) if isinstance(law, str) else law
    own = group_columns(table, group, prepare_law(request).inputs)
    if wrong := [level for level in levels if not 0 < level < math.inf]:
        raise RecordError(f"{wrong[0]:g} is not a loss to compare at", where="--level")
    column, parts, warnings = taken_apart(table, own, reference, against)
    fits = {name: _fit(part, column, name, request) for name, part in parts.items()}
    first, *others = fits.values()
    _check_held(first.fit, held or {})
    return Comparison(
        column=column,
        reference=next(iter(fits)),
        fits=fits,
        contrasts=tuple(contrast(one.fit, first.fit, held, levels) for one in others),
        warnings=(*warnings, *compute_warnings(table.measure, first.fit.law.inputs)),
    )


def _fit(part: RunTable, column: str, name: str, request: Request) -> TableFit:
    try:
        return fit_table(part, request)
    except RecordError as error:
        raise RecordError(
            f"the runs with {column} = '{name}' cannot be compared: {error.what}",
            where=part.source,
            remedy=error.remedy,
        ) from None


def _check_held(fit: Fit, held: Mapping[str, float]) -> None:
    if unknown := sorted(held.keys() - set(fit.law.inputs)):
        raise RecordError(
            f"the {fit.law.name} law has no input {', '.join(unknown)} to hold",
            where="--at",
            remedy=f"It has {', '.join(fit.law.inputs)}",
        )
    if wrong := [name for name, value in held.items() if not value > 0]:
        raise RecordError(f"{wrong[0]} must be positive to be held", where="--at")


def contrast(
    fit: Fit,
    reference: Fit,
    held: Mapping[str, float] | None = None,
    levels: Sequence[float] = (),
) -> Contrast:
    """One fitted group against another of the same law; ``held`` and ``levels`` as in ``compare``."""
    efficiencies: tuple[Efficiency, ...] = ()
    if fit.law.target == "L":
        efficiencies = tuple(input_efficiencies(fit, reference, held, levels))
    elif fit.law.name == "loss-to-loss":
        efficiencies = (transfer_efficiency(fit, reference, levels),)
    paired = sum((_runs_by_place(fit.sample) & _runs_by_place(reference.sample)).values())
    return Contrast(
        group=fit.group,
        exponents=exponent_differences(fit, reference),
        efficiencies=efficiencies,
        paired=paired,
        warnings=(
            *_doubts(fit, reference, paired),
            *(warning for one in efficiencies for warning in one.warnings),
        ),
    )


def _runs_by_place(sample: Sample) -> Counter[tuple[str, int]]:
    return Counter(zip(sample.matched.tolist(), sample.seeds.tolist(), strict=True))


def _doubts(fit: Fit, reference: Fit, paired: int) -> list[str]:
    found = []
    if without := [one.group for one in (fit, reference) if one.theta is None]:
        found.append(
            f"no interval of a difference: {' and '.join(without)} cannot be drawn anew; train a second seed "
            "of at least half of the points, or 20 runs"
        )
    elif paired < max(fit.sample.rows, reference.sample.rows):
        found.append(
            f"{paired} of {fit.sample.rows} runs of {fit.group} have a counterpart of the same inputs and "
            f"seed in {reference.group}: noise that seeds share is counted twice, and intervals are too wide"
        )
    if fit.is_misfit or reference.is_misfit:
        names = " and ".join(one.group for one in (fit, reference) if one.is_misfit)
        found.append(f"the law misses the means of {names}: its exponents depend on the sizes chosen")
    return found
