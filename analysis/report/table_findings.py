"""Everything that a report says about a table of runs, computed once, before any wording or drawing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from analysis.comparison.compare import Comparison, contrast
from analysis.comparison.groups import taken_apart
from analysis.fits.table_fit import Request, TableFit, fit_table, prepare_law
from analysis.isoflop.study import IsoFlop, IsoFlopRequest, analyse_isoflop
from analysis.laws.registry import find_law
from analysis.report.findings import Refusal
from analysis.tables.filters import keep_where
from analysis.tables.groups import group_columns, split_groups
from analysis.tables.run_table import RunTable
from analysis.uncertainty.intervals import DEFAULT_REPLICATES, DEFAULT_SEED
from wardlaw.errors import RecordError

# What is fitted where nobody says a law: the first of these that the runs determine.
_LAWS = ("chinchilla", "power", "pure-power")
_ALLOCATION = ("N", "D", "C", "L")


@dataclass(frozen=True)
class TableRequest:
    """What is asked of a report about a table.

    Attributes
    ----------
    laws : sequence of str
        Names in the registry; where empty, the first of Chinchilla's law and the power laws that the
        runs determine.
    group : str
        Column of the groups; empty for the table's own, or none.
    reference : str
        Group to compare the others with; the first one if empty.
    objective : str
        Name of what is minimised; empty for each law's own.
    holdout : str
        Condition of the runs to keep out of the fits; empty for none.
    tolerance : float
        Fraction by which the compute of one budget's runs may differ.
    replicates, seed : int
        Of the bootstrap.
    """

    laws: Sequence[str] = ()
    group: str = ""
    reference: str = ""
    objective: str = ""
    holdout: str = ""
    tolerance: float = 0.01
    replicates: int = DEFAULT_REPLICATES
    seed: int = DEFAULT_SEED


@dataclass(frozen=True)
class TableFindings:
    """What a table of runs shows.

    Attributes
    ----------
    table : RunTable
    column : str
        What tells the groups apart; empty where the runs are one group.
    groups : tuple of str
        Empty likewise.
    fits : tuple of TableFit
        A law and group each.
    refusals : tuple of Refusal
        Laws, comparisons and allocations that the runs do not support.
    comparisons : tuple of Comparison
        Of the groups under each law.
    allocations : tuple of IsoFlop
        Of the groups that have budgets with an optimum.
    not_held_out : dict of str to str
        By group, why the condition of the runs to keep out keeps none out.
    replicates : int
    """

    table: RunTable
    column: str
    groups: tuple[str, ...]
    fits: tuple[TableFit, ...]
    refusals: tuple[Refusal, ...]
    comparisons: tuple[Comparison, ...]
    allocations: tuple[IsoFlop, ...]
    not_held_out: Mapping[str, str]
    replicates: int

    def of_law(self, name: str) -> list[TableFit]:
        """Fits of one law."""
        return [one for one in self.fits if one.fit.law.name == name]

    @property
    def laws(self) -> list[str]:
        """Names of the laws fitted."""
        return list(dict.fromkeys(one.fit.law.name for one in self.fits))


def analyse_table(table: RunTable, asked: TableRequest) -> TableFindings:
    """Fit laws to a table's groups, compare them, and find optima of its compute budgets.

    Raises
    ------
    RecordError
        If a law that was asked for, or the power law, lacks a column; if no group has runs on both sides
        of the hold-out's condition; or if run records have several objectives.
    """
    table.check_one_objective(table.source)
    for name in asked.laws or _LAWS[-1:]:
        law = prepare_law(Request(name, asked.objective))
        table.require((*law.inputs, law.target))
    column, parts, reference, warnings = _take_apart(table, asked)
    not_held_out = _not_held_out(parts, asked.holdout)
    fits: list[TableFit] = []
    refusals: list[Refusal] = []
    comparisons: list[Comparison] = []
    for name in asked.laws or _possible_laws(table):
        request = Request(name, asked.objective, replicates=asked.replicates, seed=asked.seed)
        held = replace(request, holdout=asked.holdout)
        attempts = [
            _fit(part, group, request if group in not_held_out else held) for group, part in parts.items()
        ]
        fitted = {one.fit.group: one for one in attempts if isinstance(one, TableFit)}
        fits += fitted.values()
        refusals += [one for one in attempts if isinstance(one, Refusal)]
        if reference in fitted and len(fitted) > 1:
            comparisons.append(_compare(column, reference, fitted, warnings))
        if fitted and not asked.laws:
            break
    optima = [_allocate(part, group, asked) for group, part in parts.items()]
    return TableFindings(
        table=table,
        column=column,
        groups=tuple(parts) if column else (),
        fits=tuple(fits),
        refusals=(*refusals, *(one for one in optima if isinstance(one, Refusal))),
        comparisons=tuple(comparisons),
        allocations=tuple(one for one in optima if isinstance(one, IsoFlop)),
        not_held_out=not_held_out,
        replicates=asked.replicates,
    )


def _possible_laws(table: RunTable) -> list[str]:
    return [name for name in _LAWS if set(find_law(name).inputs) <= set(table.rows.columns)]


def _take_apart(
    table: RunTable, asked: TableRequest
) -> tuple[str, dict[str, RunTable], str, tuple[str, ...]]:
    """Column of the groups, their runs by name, the reference among them, and what was left out."""
    inputs = [set(find_law(name).inputs) for name in asked.laws]
    column = group_columns(table, asked.group, set.intersection(*inputs) if inputs else ())
    if not column:
        return "", {"": replace(table, group="")}, "", ()
    if column in table.rows.columns and table.rows.schema[column].is_numeric():
        # A number alone names nothing: 2 becomes "config 2".
        named = pl.format(f"{column} {{}}", column).alias(column)
        table = replace(table, rows=table.rows.with_columns(named))
    parts = split_groups(table, column)
    names = [part.group_name for part in parts]
    if len(parts) == 1:
        return column, {names[0]: parts[0]}, "", ()
    reference = asked.reference or names[0]
    if f"{column} {reference}" in names:
        reference = f"{column} {reference}"
    column, ordered, warnings = taken_apart(table, column, reference, ())
    return column, ordered, reference, warnings


def _not_held_out(parts: Mapping[str, RunTable], condition: str) -> dict[str, str]:
    """Groups of which no run meets a condition, or all do, and how many: they are fitted to all they have."""
    if not condition:
        return {}
    met = {group: len(keep_where(part, condition).rows) for group, part in parts.items()}
    reasons = {
        group: f"'{condition}' holds out {met[group]} of {len(part.rows)} runs"
        for group, part in parts.items()
        if met[group] in (0, len(part.rows))
    }
    if len(reasons) == len(parts):
        told = "; ".join(f"{group}: {reason}" if group else reason for group, reason in reasons.items())
        raise RecordError(told, where="--holdout", remedy="Some runs of a group must be left on both sides")
    return reasons


def _compare(
    column: str, reference: str, fits: Mapping[str, TableFit], warnings: tuple[str, ...]
) -> Comparison:
    contrasts = tuple(
        contrast(one.fit, fits[reference].fit) for group, one in fits.items() if group != reference
    )
    return Comparison(column, reference, fits, contrasts, warnings)


def _fit(part: RunTable, group: str, request: Request) -> TableFit | Refusal:
    try:
        return fit_table(part, request)
    except RecordError as error:
        return Refusal(group, request.law, error.what)


def _allocate(part: RunTable, group: str, asked: TableRequest) -> IsoFlop | Refusal | None:
    """Optima of the budgets; None where the table has no compute, or no budget has an optimum."""
    if not set(_ALLOCATION) <= set(part.rows.columns):
        return None
    try:
        found = analyse_isoflop(
            part, IsoFlopRequest(asked.tolerance, replicates=asked.replicates, seed=asked.seed)
        )
    except RecordError as error:
        return Refusal(group, "optimal allocation of compute", error.what)
    return found if found.optima.accepted.any() else None
