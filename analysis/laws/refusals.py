"""Data that cannot determine a law are refused, with the reason."""

from collections.abc import Collection, Mapping
from itertools import combinations
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike

from analysis.arrays import Array
from analysis.solvers.objective import Objective, Scale
from wardlaw.errors import RecordError

_COLLINEAR = 0.999


class Posable(Protocol):
    """What a law must say for data to be checked against it; see ``ScalingLaw``."""

    name: ClassVar[str]
    inputs: ClassVar[tuple[str, ...]]
    parameters: ClassVar[tuple[str, ...]]
    target: ClassVar[str]
    scale: ClassVar[Scale]
    may_be_zero: ClassVar[frozenset[str]]
    objective: Objective

    def told_apart(self, inputs: Array, fixed: Collection[str], /) -> dict[str, Array]:
        """What runs (n, K) must differ in, and not together."""


def checked_columns(law: Posable, inputs: ArrayLike) -> Array:
    """Inputs (n, K) of a law, one column each."""
    columns = np.asarray(inputs, dtype=np.float64)
    columns = columns[:, None] if columns.ndim == 1 else columns
    if columns.ndim != 2 or columns.shape[1] != len(law.inputs):
        raise RecordError(
            f"the {law.name} law takes the columns {', '.join(law.inputs)}, not an array of shape "
            f"{columns.shape}"
        )
    return columns


def checked_points(
    law: Posable, inputs: ArrayLike, target: ArrayLike, fixed: Mapping[str, float]
) -> tuple[Array, Array]:
    """Inputs (n, K) and targets (n,), or the reason why the law cannot be fitted to them."""
    if unknown := sorted(fixed.keys() - set(law.parameters)):
        raise RecordError(
            f"the {law.name} law has no parameter {', '.join(unknown)}",
            where="--fixed",
            remedy=f"It has {', '.join(law.parameters)}",
        )
    if fixed.keys() >= set(law.parameters):
        raise RecordError(
            f"all parameters of the {law.name} law are held: nothing is left to fit",
            where="--fixed",
            remedy="Leave one free",
        )
    columns, targets = checked_columns(law, inputs), np.asarray(target, dtype=np.float64)
    if targets.shape != (len(columns),):
        raise RecordError(f"{len(columns)} inputs but losses of shape {targets.shape}")
    _refuse_values(law, columns, targets)
    _refuse_designs(law, columns, fixed)
    return columns, targets


def _refuse_values(law: Posable, columns: Array, targets: Array) -> None:
    target = "loss" if law.target == "L" else law.target
    # Nobody takes a log of it: an error of 0 or a metric below 0 is a value like any other.
    signed = {target} if law.scale == law.objective.scale == "raw" else set()
    for name, values in [*zip(law.inputs, columns.T, strict=True), (target, targets)]:
        least = -np.inf if name in signed else 0.0
        allowed = (values > least) | (name in law.may_be_zero) & (values == least)
        if wrong := int((~(np.isfinite(values) & allowed)).sum()):
            raise RecordError(
                f"{wrong} of {len(values)} values of {name} are not "
                f"{'numbers' if name in signed else 'positive numbers'}",
                remedy="Leave those runs out"
                + ("" if name in signed else "; a law of powers has no log for them"),
            )


def _refuse_designs(law: Posable, columns: Array, fixed: Collection[str]) -> None:
    told = law.told_apart(columns, fixed)
    for name, values in told.items():
        if len(values) and len(np.unique(values)) == 1:
            raise RecordError(
                f"all {len(values)} runs have the same {name} ({values[0]:g}): its effect cannot be fitted",
                remedy=f"Add runs at other values of {name}, or fit a law without it",
            )
    points, needed = len(np.unique(columns, axis=0)), len(law.parameters) - len(fixed)
    if points < needed:
        raise RecordError(
            f"the {law.name} law has {needed} parameters to fit but the {len(columns)} runs have only "
            f"{points} distinct {' and '.join(law.inputs)}",
            remedy="Add sizes, or fit a law with fewer parameters",
        )
    with np.errstate(divide="ignore"):
        logs = {name: np.log(values) for name, values in told.items()}
    for first, second in combinations(logs, 2):
        pair = np.stack([logs[first], logs[second]])
        if np.isfinite(pair).all() and abs(np.corrcoef(pair)[0, 1]) > _COLLINEAR:
            raise RecordError(
                f"{first} and {second} grow together in all runs, so their exponents cannot be told apart",
                remedy="Add runs of one size at another token budget",
            )
