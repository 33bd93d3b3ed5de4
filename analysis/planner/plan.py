"""What a consortium should train, what it would get, and how far that can be trusted."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from analysis.planner.arm import Arm
from analysis.planner.backtest import Backtest, backtest_arms
from analysis.planner.cautions import cautions_of_choice, cautions_of_sites, scope_of_intervals
from analysis.planner.consortium import Consortium
from analysis.planner.evidence import Evidence
from analysis.planner.joining import Joining, joining
from analysis.planner.law_optimum import law_optimum
from analysis.planner.noise import USEFUL_RATIO, SiteNoise, averaged_ratio, site_noises
from analysis.planner.outlook import Outlook, outlook, outlook_by_name
from analysis.planner.private_arm import PRIVATE, PrivateArm, private_arm
from analysis.planner.recorded import Roles
from analysis.planner.rendering import render_plan
from analysis.planner.schedule import Habits, Schedule, schedule_run
from analysis.planner.size import SizeChoice, choose_size
from analysis.tables.run_table import RunTable
from analysis.uncertainty.intervals import Interval
from wardlaw.errors import RecordError

_OTHER_BUDGETS = (0.25, 0.5, 2.0, 4.0)
_TOO_LITTLE, _TOO_MUCH = "too little", "more than the runs can speak for"


@dataclass(frozen=True)
class Plan:
    """The answer.

    Attributes
    ----------
    roles : Roles
    consortium : Consortium
    choice : SizeChoice
        By the federated arm's law; by its private law where privacy is asked for and private runs were
        made.
    optimum : Interval or None
        Size that the law without noise is lowest at, wherever it is.
    schedule : Schedule
    epochs : float
        Passes over the consortium's unique tokens.
    losses : tuple of Outlook
        Predicted loss of each arm at the choice, without noise.
    private : Outlook or None
        Of the federated arm under the privacy asked for; None where none was.
    noises : tuple of SiteNoise
    joining : tuple of Joining
        What joining gives without noise, and under the privacy asked for where that is known.
    budgets : tuple of dict
        Size, tokens, loss and unspent FLOPs at other compute budgets, and a ``note`` where the runs do not
        reach.
    backtests : tuple of Backtest
        How the arms' laws predict runs that they were not fitted to.
    intervals : str
        What the intervals hold.
    warnings : tuple of str
    table : RunTable
        The runs used, and those left out.
    """

    roles: Roles
    consortium: Consortium
    choice: SizeChoice
    optimum: Interval | None
    schedule: Schedule
    epochs: float
    losses: tuple[Outlook, ...]
    private: Outlook | None
    noises: tuple[SiteNoise, ...]
    joining: tuple[Joining, ...]
    budgets: tuple[Mapping[str, float | str | None], ...]
    backtests: tuple[Backtest, ...]
    intervals: str
    warnings: tuple[str, ...]
    table: RunTable

    def summary(self) -> str:
        """The plan as the terminal shows it."""
        return render_plan(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        made = asdict(self)
        table = made.pop("table")
        return (
            made
            | {"measured": self.table.measured}
            | {key: table[key] for key in ("source", "notes", "dropped")}
        )


def make_plan(
    evidence: Evidence,
    roles: Roles,
    consortium: Consortium,
    habits: Habits,
    private_habits: Habits | None = None,
) -> Plan:
    """Plan a federated training.

    Parameters
    ----------
    evidence : Evidence
    roles : Roles
    consortium : Consortium
    habits : Habits
    private_habits : Habits, optional
        Of the private runs, where they differ.

    Raises
    ------
    RecordError
        If the federated arm has no law, or the compute budget does not pay for any size.
    """
    federated = _arm(evidence, roles.federated)
    private, unknown = _private(evidence, roles.federated, consortium, private_habits or habits)
    habits = private_habits or habits if private else habits
    chooser = private or federated
    choice = _choose(chooser, evidence, consortium, consortium.compute)
    schedule = schedule_run(choice, habits, consortium, consortium.speed or evidence.speed)
    optimum = law_optimum(federated, evidence, consortium.compute)
    noises = _noises(consortium, habits, schedule)
    named = [name for name in (roles.own, roles.local, roles.federated, roles.centralised) if name]
    warnings = [
        *cautions_of_choice(chooser, choice, None if private else optimum, evidence, consortium),
        *cautions_of_sites(federated, consortium, habits, schedule),
    ]
    if unknown:
        warnings.append(f"size, rounds and joining ignore privacy: {unknown}")
    if consortium.privacy:
        drawn = (
            f"a step draws {habits.batch_patients} patients of each on average, as in the private runs"
            if habits.batch_patients
            else "a patient counts once a step with the site's mean tokens"
        )
        warnings.append(
            f"privacy: the noise is that of patient-level DP-SGD with Poisson sampling at each site; {drawn}"
        )
    return Plan(
        roles=roles,
        consortium=consortium,
        choice=choice,
        optimum=optimum,
        schedule=schedule,
        epochs=choice.tokens / consortium.unique_tokens,
        losses=tuple(outlook_by_name(evidence, name, choice) for name in named),
        private=_private_outlook(evidence, private, unknown, choice, noises),
        noises=noises,
        joining=_joinings(
            evidence, [federated, *([private] if private else [])], roles.own, choice, consortium
        ),
        budgets=tuple(
            _budget(chooser, evidence, consortium, consortium.compute * times) for times in _OTHER_BUDGETS
        ),
        backtests=backtest_arms(evidence),
        intervals=scope_of_intervals(evidence.table),
        warnings=tuple(warnings),
        table=evidence.table,
    )


def _arm(evidence: Evidence, name: str) -> Arm:
    if name not in evidence.arms:
        reason = evidence.refused.get(name, f"the runs have {', '.join(evidence.arms)}")
        raise RecordError(f"no law of the arm '{name}': {reason}", where="--federated")
    return evidence.arms[name]


def _private(
    evidence: Evidence, name: str, consortium: Consortium, habits: Habits
) -> tuple[PrivateArm | None, str]:
    """The arm's private law, or why it has none; neither where no privacy is asked for."""
    if not consortium.privacy:
        return None, ""
    try:
        return private_arm(evidence, name, consortium, consortium.privacy, habits), ""
    except RecordError as error:
        return None, error.what


def _choose(arm: Arm, evidence: Evidence, consortium: Consortium, compute: float) -> SizeChoice:
    """The arm's choice at a budget, without repeating patients more often than its runs did."""
    fresh = np.inf if arm.passes is None else arm.passes * consortium.unique_tokens
    return choose_size(arm, evidence, compute, fresh)


def _noises(consortium: Consortium, habits: Habits, schedule: Schedule) -> tuple[SiteNoise, ...]:
    if not consortium.privacy:
        return ()
    batch = habits.batch_tokens / consortium.sites
    return site_noises(consortium, consortium.privacy, batch, schedule.steps, habits.batch_patients)


def _private_outlook(
    evidence: Evidence,
    private: PrivateArm | None,
    unknown: str,
    choice: SizeChoice,
    noises: tuple[SiteNoise, ...],
) -> Outlook | None:
    if not noises:
        return None
    found = outlook(private, choice, evidence.seed) if private else Outlook(PRIVATE, None, None, (unknown,))
    ratio = averaged_ratio(noises)
    if ratio <= USEFUL_RATIO:
        return found
    note = f"the noise-batch ratio {ratio:.2g} is above {USEFUL_RATIO:g}, where the useful range of "
    return replace(found, notes=(*found.notes, f"{note}arXiv 2501.18914 ends"))


def _joinings(
    evidence: Evidence, arms: list[Arm], own: str, choice: SizeChoice, consortium: Consortium
) -> tuple[Joining, ...]:
    if own not in evidence.arms:
        return ()
    alone = evidence.arms[own]
    try:
        best = _choose(alone, evidence, consortium, consortium.compute)
    except RecordError:
        best = None
    return tuple(gain for arm in arms if (gain := joining(arm, alone, choice, best)))


def _budget(
    arm: Arm, evidence: Evidence, consortium: Consortium, compute: float
) -> dict[str, float | str | None]:
    row: dict[str, float | str | None] = {"compute": compute}
    try:
        choice = _choose(arm, evidence, consortium, compute)
    except RecordError:
        return row | dict.fromkeys(("size", "tokens", "loss", "unspent")) | {"note": _TOO_LITTLE}
    return row | {
        "size": choice.size,
        "tokens": choice.tokens,
        "loss": float(arm.losses(np.array([choice.size]), np.array([choice.tokens]))[0]),
        "unspent": choice.unspent,
        "note": _TOO_MUCH if choice.unspent else "",
    }
