"""What a consortium should train, what it would get, and how far that can be trusted."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from analysis.planner.backtest import Backtest, backtest_arms
from analysis.planner.consortium import Consortium
from analysis.planner.evidence import Arm, Evidence
from analysis.planner.noise import SiteNoise, averaged_ratio, site_noises
from analysis.planner.outlook import Outlook, joining_gain, outlooks
from analysis.planner.private_outlook import private_outlook
from analysis.planner.rendering import render_plan
from analysis.planner.schedule import Habits, Schedule, schedule_run
from analysis.planner.size import SizeChoice, choose_size
from analysis.uncertainty.intervals import Interval
from wardlaw.errors import RecordError

_OTHER_BUDGETS = (0.25, 0.5, 2.0, 4.0)
_FRESH_EPOCHS = 4.0


@dataclass(frozen=True)
class Roles:
    """Which arm is which.

    Attributes
    ----------
    federated : str
        The arm that the plan is for.
    centralised, local, own : str
        Pooled training; sites alone, on everybody's patients; each site's own model on its own
        patients. Empty where there is none.
    """

    federated: str
    centralised: str = ""
    local: str = ""
    own: str = ""


@dataclass(frozen=True)
class Plan:
    """The answer.

    Attributes
    ----------
    roles : Roles
    consortium : Consortium
    choice : SizeChoice
    schedule : Schedule
    epochs : float
        Passes over the consortium's unique tokens.
    losses : tuple of Outlook
        Predicted loss of each arm at the choice.
    private : Outlook or None
        Of the federated arm under the privacy asked for; None where none was.
    noises : tuple of SiteNoise
    joining : Interval or None
        Per cent that the federated model's loss lies below the sites' own at home; positive is better.
    budgets : tuple of dict
        Size, tokens and loss at other compute budgets; ``inside`` is 1 where the runs reach those tokens.
    backtests : tuple of Backtest
        How the arms' laws predict runs that they were not fitted to.
    warnings : tuple of str
    """

    roles: Roles
    consortium: Consortium
    choice: SizeChoice
    schedule: Schedule
    epochs: float
    losses: tuple[Outlook, ...]
    private: Outlook | None
    noises: tuple[SiteNoise, ...]
    joining: Interval | None
    budgets: tuple[Mapping[str, float | None], ...]
    backtests: tuple[Backtest, ...]
    warnings: tuple[str, ...]

    def summary(self) -> str:
        """The plan as the terminal shows it."""
        return render_plan(self)

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def make_plan(
    evidence: Evidence, roles: Roles, consortium: Consortium, habits: Habits, *, seed: int = 42
) -> Plan:
    """Plan a federated training.

    Parameters
    ----------
    evidence : Evidence
    roles : Roles
    consortium : Consortium
    habits : Habits
    seed : int
        Of the draws behind the interval of a run.

    Raises
    ------
    RecordError
        If the federated arm has no law, or the compute budget does not pay for any size.
    """
    federated = _arm(evidence, roles.federated)
    choice = choose_size(federated, evidence, consortium.compute)
    speed = consortium.speed or evidence.speed
    schedule = schedule_run(choice.size, choice.tokens, habits, consortium, speed)
    noises: tuple[SiteNoise, ...] = ()
    private = None
    if consortium.privacy:
        batch = habits.batch_tokens / consortium.sites
        noises = site_noises(consortium, consortium.privacy, batch, schedule.steps)
        private = private_outlook(federated, choice, averaged_ratio(noises))
    named = [name for name in (roles.own, roles.local, roles.federated, roles.centralised) if name]
    losses = outlooks(evidence, named, choice, seed)
    return Plan(
        roles=roles,
        consortium=consortium,
        choice=choice,
        schedule=schedule,
        epochs=choice.tokens / consortium.unique_tokens,
        losses=losses,
        private=private,
        noises=noises,
        joining=joining_gain(evidence, roles.federated, roles.own, choice) if roles.own else None,
        budgets=tuple(_budget(federated, evidence, consortium.compute * times) for times in _OTHER_BUDGETS),
        backtests=backtest_arms(evidence),
        warnings=tuple(_warnings(federated, consortium, choice, habits)),
    )


def _arm(evidence: Evidence, name: str) -> Arm:
    if name not in evidence.arms:
        reason = evidence.refused.get(name, f"the runs have {', '.join(evidence.arms)}")
        raise RecordError(f"no law of the arm '{name}': {reason}", where="--federated")
    return evidence.arms[name]


def _budget(arm: Arm, evidence: Evidence, compute: float) -> dict[str, float | None]:
    try:
        choice = choose_size(arm, evidence, compute)
    except RecordError:
        return {"compute": compute, "size": None, "tokens": None, "loss": None, "inside": None}
    loss = arm.losses(np.array([choice.size]), np.array([choice.tokens]))[0]
    return {
        "compute": compute,
        "size": choice.size,
        "tokens": choice.tokens,
        "loss": float(loss[0]),
        "inside": float(arm.tokens[0] * 0.99 <= choice.tokens <= arm.tokens[1] * 1.01),
    }


def _warnings(arm: Arm, consortium: Consortium, choice: SizeChoice, habits: Habits) -> list[str]:
    found = [*arm.fit.warnings, *choice.notes]
    if consortium.sites != habits.replicas:
        found.append(
            f"the runs federated {habits.replicas} sites and the consortium has {consortium.sites}: no law "
            "here says what another number of sites changes"
        )
    if "U" in arm.rows.columns:
        unique = float(np.median(arm.rows["U"].cast(pl.Float64).to_numpy()))
        times = consortium.unique_tokens / unique
        if not 1 / 1.5 < times < 1.5:
            found.append(
                f"the consortium has {times:.2g} times the unique tokens of the runs ({unique:.3g}): "
                "repetition, and so the law, would differ"
            )
    epochs = choice.tokens / consortium.unique_tokens
    if epochs > _FRESH_EPOCHS:
        found.append(
            f"{epochs:.1f} passes over the patients: beyond about four, repeated tokens are worth less than "
            "fresh ones (arXiv 2305.16264)"
        )
    if consortium.privacy:
        found.append(
            "privacy: the noise is that of patient-level DP-SGD with Poisson sampling at each site; a "
            "patient counts once a step with the site's mean tokens"
        )
    return found
