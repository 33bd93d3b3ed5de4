"""Axes of losses: one for each measure, since losses of different measures are never compared."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.charts.chart import Axis, Reference
from analysis.report.findings import Findings, of_arms
from analysis.report.loss_words import apart
from analysis.tables.measures import Measure
from analysis.tables.records import Runs
from analysis.wording import significant


@dataclass(frozen=True)
class LossAxis:
    """An axis of losses, and the arms that share it.

    Attributes
    ----------
    title : str
        Objective; empty where all runs have one.
    arms : tuple of str
    measure : Measure
    label : str
    """

    title: str
    arms: tuple[str, ...]
    measure: Measure
    label: str


def loss_axes(runs: Runs, findings: Findings) -> tuple[LossAxis, ...]:
    """The axes of a study's evaluation losses, in the order of its arms."""
    several = len(runs.measures) > 1
    return tuple(
        LossAxis(
            measure.objective if several else "",
            tuple(arms),
            measure,
            f"{runs.evaluated.capitalize()} loss ({measure.per(findings.unit)})",
        )
        for measure, arms in runs.measures.items()
    )


def axis_of_arm(axes: Sequence[LossAxis]) -> dict[str, Axis]:
    """The axis of each arm."""
    return {arm: Axis(axis.label) for axis in axes for arm in axis.arms}


def training_axes(runs: Runs) -> dict[str, Axis]:
    """The axis of each arm's training loss, which is recorded per token or target."""
    return {
        arm: Axis(f"Training loss ({measure.per('token')})")
        for measure, arms in runs.measures.items()
        for arm in arms
    }


def size_label(runs: Runs) -> str:
    """What all parameters are: of EHR with embeddings, of ECG with the objective's heads."""
    return f"Parameters N ({apart(runs)} included)"


def references(axis: LossAxis, runs: Runs, findings: Findings) -> tuple[Reference, ...]:
    """The irreducible loss of generated patients, and chance where the runs come near it."""
    found = []
    if runs.oracle and axis.measure.sample == "token":
        floor = runs.oracle.loss(findings.unit)
        found.append(Reference(floor, "irreducible loss of the generating process"))
    chance = _chance(axis, findings)
    losses = of_arms(findings.curve_runs, axis.arms)[findings.loss].to_numpy()
    if chance is not None and chance < losses.max() + np.ptp(losses):
        found.append(Reference(chance, "chance"))
    return tuple(found)


def chance_sentence(axes: Sequence[LossAxis], findings: Findings) -> str:
    """The losses of chance; empty for EHR, whose chance is that of no objective."""
    known = [
        f"{axis.measure.objective} {significant(chance)}"
        for axis in axes
        if (chance := _chance(axis, findings)) is not None
    ]
    return f"A model that knows nothing has {'; '.join(known)}. " if known else ""


def _chance(axis: LossAxis, findings: Findings) -> float | None:
    return axis.measure.chance if findings.unit == "token" else None
