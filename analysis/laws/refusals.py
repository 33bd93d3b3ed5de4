"""Data that cannot determine a law are refused, with the reason."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from analysis.solvers.damped_newton import Array
from wardlaw.errors import RecordError

if TYPE_CHECKING:
    from analysis.laws.law import ScalingLaw

_COLLINEAR = 0.999


def checked_columns(law: "type[ScalingLaw]", inputs: ArrayLike) -> Array:
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
    law: "type[ScalingLaw]", inputs: ArrayLike, target: ArrayLike, fixed: Mapping[str, float]
) -> tuple[Array, Array]:
    """Inputs (n, K) and targets (n,), or the reason why the law cannot be fitted to them."""
    if unknown := sorted(fixed.keys() - set(law.parameters)):
        raise RecordError(
            f"the {law.name} law has no parameter {', '.join(unknown)}",
            remedy=f"It has {', '.join(law.parameters)}",
        )
    columns, targets = checked_columns(law, inputs), np.asarray(target, dtype=np.float64)
    if targets.shape != (len(columns),):
        raise RecordError(f"{len(columns)} inputs but losses of shape {targets.shape}")
    _refuse_values(law, columns, targets)
    _refuse_designs(law, columns, len(law.parameters) - len(fixed), any_fixed=bool(fixed))
    return columns, targets


def _refuse_values(law: "type[ScalingLaw]", columns: Array, targets: Array) -> None:
    named = [*zip(law.inputs, columns.T, strict=True), ("loss" if law.target == "L" else law.target, targets)]
    for name, values in named:
        allowed = values >= 0 if name in law.may_be_zero else values > 0
        if wrong := int((~(np.isfinite(values) & allowed)).sum()):
            raise RecordError(
                f"{wrong} of {len(values)} values of {name} are not positive numbers",
                remedy="Leave those runs out; a law of powers has no log for them",
            )


def _refuse_designs(law: "type[ScalingLaw]", columns: Array, needed: int, *, any_fixed: bool) -> None:
    points = len(np.unique(columns, axis=0))
    if not any_fixed:
        for name, values in zip(law.inputs, columns.T, strict=True):
            if len(values) and len(np.unique(values)) == 1:
                raise RecordError(
                    f"all {len(values)} runs have the same {name} ({values[0]:g}), so no exponent can be "
                    "fitted",
                    remedy=f"Add runs at other values of {name}",
                )
    if points < needed:
        raise RecordError(
            f"the {law.name} law has {needed} parameters to fit but the {len(columns)} runs have only "
            f"{points} distinct {' and '.join(law.inputs)}",
            remedy="Add sizes, or fit a law with fewer parameters",
        )
    if any_fixed:
        return
    with np.errstate(divide="ignore"):
        logs = np.log(columns)
    for first in range(logs.shape[1]):
        for second in range(first):
            pair = logs[:, [second, first]]
            if np.isfinite(pair).all() and abs(np.corrcoef(pair.T)[0, 1]) > _COLLINEAR:
                raise RecordError(
                    f"{law.inputs[second]} and {law.inputs[first]} grow together in all runs, so their "
                    "exponents cannot be told apart",
                    remedy="Add runs of one size at another token budget",
                )
