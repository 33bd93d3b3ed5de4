"""The tables behind the figures of a fitted law: runs with what the law says of them, and its curves."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from analysis.arrays import Array
from analysis.comparison.reach import reach
from analysis.fits.fit import Fit
from analysis.fits.table_fit import TableFit
from analysis.isoflop.budgets import near_values

_CURVE_POINTS = 40
_BEYOND = 2.0
_MOST_LEVELS, _QUANTILES = 12, 6
# Values of a letter that differ by less are one value.
_SAME = 0.02


def run_points(fits: Sequence[TableFit]) -> pl.DataFrame:
    """A row a run and law: ``law``, ``group``, ``run``, ``measured``, ``predicted``, ``percent`` off."""
    return pl.concat(
        pl.DataFrame(
            {
                "law": one.fit.law.name,
                "group": one.fit.group,
                "run": one.fit.sample.runs,
                "measured": one.fit.sample.target,
                "predicted": one.fit.law.predict(one.fit.sample.inputs),
            }
        )
        for one in fits
    ).with_columns(percent=100 * (pl.col("measured") / pl.col("predicted") - 1))


def one_input(fits: Sequence[TableFit]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Of a law in one input: runs (``group``, ``run``, ``x``, ``loss``) and curves to twice the largest x."""
    points, curves = [], []
    for one in fits:
        x = one.fit.sample.inputs[:, 0]
        points.append(_points(one.fit, {"x": x}))
        curves.append(_curve(one.fit, np.geomspace(x.min(), _BEYOND * x.max(), _CURVE_POINTS)[:, None]))
    return pl.concat(points), pl.concat(curves)


@dataclass(frozen=True)
class Levels:
    """What tells the lines of a law in two inputs apart.

    Attributes
    ----------
    letter : str
        That is the same along a line: the law's other input, or C = 6 N D.
    values : ndarray (m,)
        Ascending.
    """

    letter: str
    values: Array

    def nearest(self, values: Array) -> Array:
        """The level nearest in the log to each of some values (n,)."""
        logs = np.log(self.values)
        found: Array = self.values[np.abs(np.log(values)[:, None] - logs).argmin(axis=1)]
        return found


def choose_levels(fits: Sequence[TableFit]) -> Levels:
    """Levels of a law in N and another input: of compute, where runs have fewer budgets than values of it.

    Where there are more than twelve, six of their quantiles.
    """
    law = fits[0].fit.law
    inputs = np.concatenate([one.fit.sample.inputs for one in fits])
    letters = {law.inputs[1]: inputs[:, 1]}
    if law.inputs == ("N", "D"):
        letters["C"] = 6 * inputs.prod(axis=1)
    distinct = {letter: _distinct(values) for letter, values in letters.items()}
    letter = min(distinct, key=lambda name: len(distinct[name]))
    values = distinct[letter]
    if len(values) > _MOST_LEVELS:
        middles = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
        values = np.unique(np.quantile(values, middles, method="nearest"))
    return Levels(letter, values)


def two_inputs(fits: Sequence[TableFit], levels: Levels) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Of a law in N and another input: runs with their nearest level, and the law along N at each level.

    Both have ``group``, ``level``, ``x`` (N) and ``loss``; the curves span the sizes of the level's runs.
    """
    points, curves = [], []
    for one in fits:
        size, other = one.fit.sample.inputs.T
        level = levels.nearest(6 * size * other if levels.letter == "C" else other)
        points.append(_points(one.fit, {"level": level, "x": size}))
        for value in np.unique(level):
            here = size[level == value]
            x = np.geomspace(here.min(), here.max(), _CURVE_POINTS)
            second = value / (6 * x) if levels.letter == "C" else np.full_like(x, value)
            curves.append(
                _curve(one.fit, np.column_stack([x, second])).with_columns(level=pl.lit(float(value)))
            )
    return pl.concat(points), pl.concat(curves)


def frontier(fits: Sequence[TableFit]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Of a law in N and D: runs by their compute 6 N D, and the lowest loss that the law allows for it."""
    points, curves = [], []
    for one in fits:
        compute = 6 * one.fit.sample.inputs.prod(axis=1)
        points.append(_points(one.fit, {"x": compute}))
        along = np.geomspace(compute.min(), compute.max(), _CURVE_POINTS)
        curve = reach(one.fit, "C", {})
        losses = curve.losses(np.tile(np.log(along), (len(curve.theta), 1)))
        table = pl.DataFrame({"group": one.fit.group, "x": along, "loss": losses[0]})
        curves.append(table.with_columns(**_ends(one.fit, losses)))
    return pl.concat(points), pl.concat(curves)


def _ends(fit: Fit, losses: Array) -> dict[str, pl.Series]:
    """Ends of the interval (m,) of losses (1 + R, m), the solution's first."""
    if fit.resamples is None:
        nothing = pl.Series(np.full(losses.shape[1], np.nan))
        return {"low": nothing, "high": nothing}
    ends = [fit.resamples.interval(float(drawn[0]), drawn[1:]) for drawn in losses.T]
    return {
        "low": pl.Series([end.low for end in ends], dtype=pl.Float64),
        "high": pl.Series([end.high for end in ends], dtype=pl.Float64),
    }


def _points(fit: Fit, columns: dict[str, Array]) -> pl.DataFrame:
    return pl.DataFrame(
        {"group": [fit.group] * fit.sample.rows, "run": fit.sample.runs, **columns, "loss": fit.sample.target}
    )


def _curve(fit: Fit, inputs: Array) -> pl.DataFrame:
    loss, low, high = fit.band(inputs)
    return pl.DataFrame({"group": fit.group, "x": inputs[:, 0], "loss": loss, "low": low, "high": high})


def _distinct(values: Array) -> Array:
    """Values ascending, near ones as one: their geometric mean."""
    cluster = near_values(values, _SAME)
    return np.asarray(np.exp(np.bincount(cluster, np.log(values)) / np.bincount(cluster)))
