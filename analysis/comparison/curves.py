"""A quantity of two groups at the same levels, their ratio, and its band: one tidy table."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from analysis.arrays import Array
from analysis.comparison.bands import ratio_band
from analysis.fits.fit import Fit


@dataclass(frozen=True)
class Side:
    """A group's quantity at m levels.

    Attributes
    ----------
    fit : Fit
    values : ndarray (1 + R, m)
        Of the solution, then of its replicates; 0, infinite or NaN where there is none.
    extrapolates : ndarray (m,) of bool
        Whether the group's runs do not reach so far.
    reasons : sequence of str
        Why there is no value; empty where there is one.
    """

    fit: Fit
    values: Array
    extrapolates: NDArray[np.bool_]
    reasons: Sequence[str]


@dataclass(frozen=True)
class Efficiency:
    """One efficiency of a group against a reference, as a curve with its band.

    Attributes
    ----------
    kind : {"parameter", "data", "compute", "transfer"}
    equation : str
        Its definition, which is ours.
    held : dict of str to float
        Inputs of the law that are held at the same value in both groups.
    curve : polars.DataFrame
        A row a level, tidy: ``level`` (the loss that is equal, nats), ``of_group`` and ``of_reference``
        (what each takes to it, or its slope there), ``efficiency``, ``low`` and ``high`` (95 % band; 0 or
        infinite where replicates never get there), ``defined`` (share of the replicates that do in both
        groups), ``extrapolates`` (the groups whose runs do not reach so far; empty if none) and ``reason``
        (why there is no efficiency; empty if there is one).
    warnings : tuple of str
    """

    kind: str
    equation: str
    held: Mapping[str, float]
    curve: pl.DataFrame
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "kind": self.kind,
            "definition": self.equation,
            "definition_source": "ours; the papers publish none",
            "held": dict(self.held),
            "curve": self.curve.to_dicts(),
            "warnings": list(self.warnings),
        }


def tidy_curve(levels: Array, group: Side, reference: Side, ratios: Array) -> pl.DataFrame:
    """The table of an efficiency from its ratios (1 + R, m); see ``Efficiency.curve``."""
    sides = (group, reference)
    degrees = [side.fit.resamples.degrees for side in sides if side.fit.resamples]
    band = ratio_band(ratios[1:], min(degrees, default=0))
    beyond = zip(*(np.where(side.extrapolates, side.fit.group, "") for side in sides), strict=True)
    reasons = zip(*(side.reasons for side in sides), strict=True)
    columns = {
        "level": levels,
        "of_group": group.values[0],
        "of_reference": reference.values[0],
        "efficiency": ratios[0],
        "low": band.low,
        "high": band.high,
        "defined": band.defined,
    }
    exists = (pl.col("efficiency") > 0) & pl.col("efficiency").is_finite()
    return pl.DataFrame(
        {
            **columns,
            "extrapolates": pl.Series(list(map(_joined, beyond)), dtype=pl.String),
            "reason": pl.Series(list(map(_joined, reasons)), dtype=pl.String),
        }
    ).with_columns(
        pl.when(exists).then("efficiency"),
        pl.when(pl.col("of_group", "of_reference").is_finite()).then(pl.col("of_group", "of_reference")),
        pl.col("low", "high", "defined").fill_nan(None),
    )


def paired_rows(first: Array, second: Array) -> tuple[Array, Array]:
    """Both without what only one has: replicates come in pairs or not at all."""
    rows = min(len(first), len(second))
    return first[:rows], second[:rows]


def _joined(parts: Iterable[str]) -> str:
    return " and ".join(part for part in parts if part)
