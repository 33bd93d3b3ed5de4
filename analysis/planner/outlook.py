"""Predicted loss of each arm at a plan's size and tokens."""

from dataclasses import dataclass

import numpy as np

from analysis.fits.predictions import predict_at
from analysis.planner.arm import Arm
from analysis.planner.evidence import Evidence
from analysis.planner.size import SizeChoice
from analysis.uncertainty.intervals import Interval


@dataclass(frozen=True)
class Outlook:
    """One arm's predicted loss.

    Attributes
    ----------
    arm : str
    mean : Interval or None
        Of the law; None where there is no prediction.
    run : Interval or None
        Of one run: the law's uncertainty and the scatter of runs about it.
    notes : tuple of str
        Why there is none, where it extrapolates, and what the arm's fit is to be doubted for.
    law : str
        Name of the law behind it.
    """

    arm: str
    mean: Interval | None
    run: Interval | None
    notes: tuple[str, ...] = ()
    law: str = ""


def outlook_by_name(evidence: Evidence, name: str, choice: SizeChoice) -> Outlook:
    """Predicted loss of an arm, or why it has none."""
    if name not in evidence.arms:
        return Outlook(name, None, None, (evidence.refused.get(name, "no runs"),))
    return outlook(evidence.arms[name], choice, evidence.seed)


def outlook(arm: Arm, choice: SizeChoice, seed: int) -> Outlook:
    """Predicted loss of an arm at a choice, with every doubt of its fit."""
    if not arm.knows(choice.tokens):
        reason = f"its runs have {arm.tokens[0]:.3g} tokens only, and the plan {choice.tokens:.3g}"
        return Outlook(arm.name, None, None, (reason, *arm.fit.warnings))
    point = arm.points(np.array([choice.size]), np.array([choice.tokens]))
    prediction = predict_at(arm.fit, point, seed=seed)[0]
    notes = (*prediction.warnings, *arm.fit.warnings)
    return Outlook(arm.name, prediction.mean, prediction.run, notes, arm.fit.law.name)
