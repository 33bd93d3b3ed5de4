"""Tidy tables of an IsoFLOP study, from which its figures are drawn."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from analysis.arrays import Array
from analysis.isoflop.optima import Optima
from analysis.isoflop.power_laws import PowerLaws

_CURVE_POINTS = 101
_QUANTITIES = ("size", "tokens", "loss")


def point_frame(optima: Optima) -> pl.DataFrame:
    """A row a run: ``compute`` of its budget, ``run``, ``size``, ``tokens``, ``loss``, ``used``."""
    budgets = optima.budgets
    kept = budgets.present
    return pl.DataFrame(
        {
            "compute": np.broadcast_to(budgets.compute[:, None], kept.shape)[kept],
            "run": budgets.runs[kept],
            "size": np.exp(budgets.log_size[kept]),
            "tokens": np.exp(budgets.log_tokens[kept]),
            "loss": budgets.loss[kept],
            "used": optima.used[kept],
        }
    )


def curve_frame(optima: Optima) -> pl.DataFrame:
    """Parabolas over the sizes that they were fitted to: ``compute``, ``size``, ``loss``, ``accepted``."""
    fitted = optima.budgets.sizes >= 3
    reach = np.linspace(-1, 1, _CURVE_POINTS)
    log_size = optima.design.centre[:, None] + optima.design.spread[:, None] * reach
    shape = log_size[fitted].shape
    return pl.DataFrame(
        {
            "compute": np.broadcast_to(optima.budgets.compute[fitted, None], shape).ravel(),
            "size": np.exp(log_size[fitted]).ravel(),
            "loss": optima.loss_at(log_size)[fitted].ravel(),
            "accepted": np.broadcast_to(optima.accepted[fitted, None], shape).ravel(),
        }
    )


def optimum_frame(optima: Optima) -> pl.DataFrame:
    """A row a budget: its optimal ``size``, ``tokens`` and ``loss`` with the ends of their intervals.

    Besides ``compute``, ``runs``, ``used`` (runs fitted), ``log_size_error`` (standard error of log N*),
    ``degrees`` (of freedom behind it), and ``reason``: why a budget was refused, empty if it was not.
    Refused budgets have no optimum.
    """
    rows = []
    for number, reason in enumerate(optima.refused):
        row: dict[str, float | int | str | None] = {
            "compute": float(optima.budgets.compute[number]),
            "runs": int(optima.budgets.present[number].sum()),
            "used": int(optima.used[number].sum()),
            "reason": reason,
            "log_size_error": None if reason else float(optima.spread[number]),
            "degrees": float(optima.degrees[number]),
        }
        for quantity in _QUANTITIES:
            found = optima.interval(number, quantity)
            row[quantity] = None if reason else found.estimate
            row[f"{quantity}_low"], row[f"{quantity}_high"] = found.low, found.high
        rows.append(row)
    floats = dict.fromkeys(
        (f"{quantity}{end}" for quantity in _QUANTITIES for end in ("", "_low", "_high")), pl.Float64
    )
    return pl.DataFrame(rows, schema_overrides={**floats, "log_size_error": pl.Float64})


def line_frame(laws: Sequence[PowerLaws], compute: Array) -> pl.DataFrame:
    """Power laws at some compute (m,): ``approach``, ``compute``, ``size`` and ``tokens`` with bands."""
    rows = []
    for law in laws:
        for flops in compute:
            row: dict[str, float | str | None] = {"approach": law.approach, "compute": float(flops)}
            for quantity, line in (("size", law.size), ("tokens", law.tokens)):
                found = line.value(float(np.log(flops)))
                row[quantity] = found.estimate
                row[f"{quantity}_low"], row[f"{quantity}_high"] = found.low, found.high
            rows.append(row)
    return pl.DataFrame(rows, infer_schema_length=None)
