"""Predicted loss of each arm at a plan's size and tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.fits.predictions import predict_at
from analysis.planner.evidence import Arm, Evidence
from analysis.planner.size import SizeChoice
from analysis.solvers.damped_newton import Array
from analysis.uncertainty.intervals import Interval, percentile_interval


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
        Why there is none, or where it extrapolates.
    law : str
        Name of the law behind it.
    """

    arm: str
    mean: Interval | None
    run: Interval | None
    notes: tuple[str, ...] = ()
    law: str = ""


def outlooks(evidence: Evidence, names: Sequence[str], choice: SizeChoice, seed: int) -> tuple[Outlook, ...]:
    """Predicted loss of arms at the choice, in the order of their names."""
    return tuple(_outlook(evidence, name, choice, seed) for name in names)


def joining_gain(evidence: Evidence, federated: str, own: str, choice: SizeChoice) -> Interval | None:
    """Per cent by which the federated loss lies below the sites' own models at home.

    100 (1 - L_federated / L_own), from paired replicates; None where either arm has no law there.
    """
    pair = [evidence.arms.get(name) for name in (federated, own)]
    if not all(arm is not None and arm.knows(choice.tokens) for arm in pair):
        return None
    (ours, drawn), (theirs, drawn_own) = (_at(arm, choice) for arm in pair if arm is not None)
    estimate = 100 * (1 - ours / theirs)
    if drawn is None or drawn_own is None or len(drawn) != len(drawn_own):
        return Interval(estimate, None, None)
    degrees = min(arm.fit.resamples.degrees for arm in pair if arm is not None and arm.fit.resamples)
    return percentile_interval(estimate, 100 * (1 - drawn / drawn_own), degrees)


def _outlook(evidence: Evidence, name: str, choice: SizeChoice, seed: int) -> Outlook:
    arm = evidence.arms.get(name)
    if arm is None:
        return Outlook(name, None, None, (evidence.refused.get(name, "no runs"),))
    if not arm.knows(choice.tokens):
        reason = f"its runs have {arm.tokens[0]:.3g} tokens only, and the plan {choice.tokens:.3g}"
        return Outlook(name, None, None, (reason,))
    point = [choice.size, choice.tokens] if arm.is_joint else [choice.size]
    prediction = predict_at(arm.fit, np.array([point]), seed=seed)[0]
    return Outlook(name, prediction.mean, prediction.run, prediction.warnings, arm.fit.law.name)


def _at(arm: Arm, choice: SizeChoice) -> tuple[float, Array | None]:
    loss, replicates = arm.losses(np.array([choice.size]), np.array([choice.tokens]))
    return float(loss[0]), None if replicates is None else replicates[:, 0]
