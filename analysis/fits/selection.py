"""Which law, or which nested case of a law, extrapolates best: chosen on runs of a scale held out."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import t

from analysis.arrays import Array
from analysis.fits.fit import residuals
from analysis.fits.fitters import fit_by
from analysis.fits.predictions import Errors, held_out_errors
from analysis.fits.selection_table import render_selection
from analysis.fits.table_fit import Request, left_out, prepare_law, unseen_letters
from analysis.laws.law import ScalingLaw
from analysis.tables.filters import drop_duplicates, split_where
from analysis.tables.run_table import RunTable
from analysis.tables.sample import take_sample
from analysis.uncertainty.intervals import LEVEL
from wardlaw.errors import RecordError

# Below so many held-out points a standard error says little.
_FEW_POINTS = 4


@dataclass(frozen=True)
class Candidate:
    """A fit to be compared with others.

    Attributes
    ----------
    name : str
        What sets it apart: a law's name, or that of a nested case.
    request : Request
        Its law, the parameters that it holds fixed, its objective and its fitter; what the request
        says of intervals, hold-out and predictions is not used.
    """

    name: str
    request: Request


@dataclass(frozen=True)
class Standing:
    """How a candidate did.

    Attributes
    ----------
    name : str
    law : ScalingLaw
        Fitted to the runs that were not held out.
    free : int
        Parameters that were fitted.
    held_out : Errors
        On the runs that were.
    off : ndarray (m,)
        |measured - predicted| at each of their points, on the law's scale: the mean over its seeds.
    warnings : tuple of str
    """

    name: str
    law: ScalingLaw
    free: int
    held_out: Errors
    off: Array
    warnings: tuple[str, ...]

    @property
    def rank(self) -> tuple[float, int]:
        """What the choice goes by: the mean held-out residual, then fewer parameters; lower is better."""
        residual = self.held_out.mean_residual
        return (math.inf if math.isnan(residual) else residual, self.free)

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "name": self.name,
            "free_parameters": self.free,
            **self.law.summary(),
            "held_out": asdict(self.held_out),
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True)
class Selection:
    """Candidates by their errors on held-out runs.

    Attributes
    ----------
    condition : str
        Of the held-out runs.
    standings : tuple of Standing
        In the order of the candidates.
    held : int
        Runs held out; all candidates are judged on the same.
    table : RunTable
        The rows fitted, those dropped, and the notes.
    """

    condition: str
    standings: tuple[Standing, ...]
    held: int
    table: RunTable

    @property
    def chosen(self) -> Standing:
        """The candidate with the smallest mean residual on the held-out runs."""
        return min(self.standings, key=lambda standing: standing.rank)

    @property
    def simplest(self) -> Standing:
        """The candidate with the fewest parameters that the held-out runs do not tell from the chosen one.

        Its mean residual is larger by no more than Student's 95 % interval of the difference over the
        points, whose noise both share. Seeds of one point count as one: both laws miss their mean by the
        same. One point alone has no such interval. By the smallest residual alone, a nested case with
        parts too many wins more often than the one that made the runs (``tests/analysis/test_joint.py``
        measures both).
        """
        best = self.chosen.off
        spare = len(best) - 1
        reach = float(t.ppf(0.5 + LEVEL / 2, spare)) / math.sqrt(spare) if spare else 0.0

        def alike(off: Array) -> bool:
            more = off - best
            return bool(more.mean() <= reach * more.std())

        standings = [self.chosen, *(standing for standing in self.standings if alike(standing.off))]
        return min(standings, key=lambda standing: (standing.free, standing.rank))

    @property
    def nested(self) -> bool:
        """Whether the candidates are cases of one law."""
        return len({standing.law.name for standing in self.standings}) == 1

    @property
    def cautions(self) -> tuple[str, ...]:
        """What the choice does not show."""
        return (
            f"the {self.held} held-out runs chose among {len(self.standings)} candidates: they are a "
            "validation set, not a test, and the error of the chosen one there is optimistic",
            *self._few_points(),
            *self._incomparable(),
            *self._mixed(),
            *left_out(self.table),
        )

    def summary(self) -> str:
        """The comparison as the terminal shows it."""
        return render_selection(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Everything that a machine may want."""
        return {
            "holdout": self.condition,
            "role_of_holdout": "validation",
            "scale": self.standings[0].law.scale,
            "runs_fitted": len(self.table.rows),
            "runs_held_out": self.held,
            "chosen": self.chosen.name,
            "simplest_not_told_apart": self.simplest.name,
            "nested": self.nested,
            "candidates": [standing.to_json() for standing in self.standings],
            "cautions": list(self.cautions),
            "source": self.table.source,
            "notes": list(self.table.notes),
            "dropped": [vars(run) for run in self.table.dropped],
        }

    def _few_points(self) -> list[str]:
        points = len(self.chosen.off)
        told = f"the candidates were told apart by {points} held-out point{'s' * int(points > 1)} only"
        return [told] if points < _FEW_POINTS else []

    def _mixed(self) -> list[str]:
        """Run records of several arms, which every candidate takes for one."""
        read_by_all = set.intersection(*(set(standing.law.inputs) for standing in self.standings))
        column = self.table.groups_for(read_by_all)
        if not column or self.table.rows[column].n_unique() == 1:
            return []
        choice = f"choose one with --where \"{column} = '{self.table.rows[column][0]}'\""
        return [f"runs of several {column}s were taken together: {choice}"]

    def _incomparable(self) -> list[str]:
        forms = {str(standing.law.objective) for standing in self.standings}
        return ["the candidates' objectives differ: compare their errors only"] if len(forms) > 1 else []


def select_law(table: RunTable, candidates: Sequence[Candidate], holdout: str) -> Selection:
    """Fit each candidate without the held-out runs and compare them there.

    All candidates see the same runs: those that have the inputs of every law.

    Parameters
    ----------
    table : RunTable
    candidates : sequence of Candidate
        Of one target; by laws, objectives, or parameters held at neutral values.
    holdout : str
        Condition of the runs to keep out, as in SQL. It must be one of scale (``N >= 1e9``): runs drawn
        at random lie among the fitted ones and say nothing about extrapolation.

    Raises
    ------
    RecordError
        If there are fewer than two candidates, two of one name or of different targets, or the runs
        cannot determine one of them (which is then named).
    """
    laws = [prepare_law(candidate.request) for candidate in candidates]
    _refuse(candidates, laws)
    errors = [candidate.request.error for candidate in candidates if candidate.request.error]
    letters = tuple(dict.fromkeys([name for law in laws for name in law.inputs] + [laws[0].target]))
    needed = tuple(dict.fromkeys((*letters, *errors)))
    fitted, held = split_where(drop_duplicates(table.require(needed)), holdout)
    standings = tuple(
        _judge(candidate, law, fitted, held) for candidate, law in zip(candidates, laws, strict=True)
    )
    return Selection(holdout, standings, len(held.rows), fitted)


def _judge(candidate: Candidate, law: ScalingLaw, fitted: RunTable, held: RunTable) -> Standing:
    sample = take_sample(fitted.rows, law.inputs, law.target, candidate.name, candidate.request.error)
    request = candidate.request
    fit_by(request.fitter, law, sample, fixed=request.fixed, start=request.start)
    unknown = take_sample(held.rows, law.inputs, law.target)
    off = np.abs(residuals(law, unknown.inputs, unknown.target))
    _, point, seeds = np.unique(unknown.cells, return_inverse=True, return_counts=True)
    warnings = unseen_letters(law, fitted.rows)
    if not law.convergence_.converged:
        warnings.append("the fitter did not meet its stopping test")
    return Standing(
        name=candidate.name,
        law=law,
        free=len(law.parameters) - len(law.fixed_),
        held_out=held_out_errors(law, unknown.inputs, unknown.target),
        off=np.bincount(point, off) / seeds,
        warnings=tuple(warnings),
    )


def _refuse(candidates: Sequence[Candidate], laws: Sequence[ScalingLaw]) -> None:
    names = [candidate.name for candidate in candidates]
    if len(names) < 2:
        raise RecordError(
            f"{len(names)} candidate leaves nothing to choose", where="--law", remedy="Give two or more"
        )
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise RecordError(f"two candidates are called {twice[0]}", where="--law")
    targets: Mapping[str, str] = {law.target: law.name for law in laws}
    if len(targets) > 1:
        told = ", ".join(f"{target} ({name})" for target, name in targets.items())
        raise RecordError(f"the candidates have different targets: {told}", where="--law")
