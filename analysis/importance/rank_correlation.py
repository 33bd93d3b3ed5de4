"""Spearman's rank correlation of each feature with the metric, with what many tests cost."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import norm, rankdata, t

from analysis.arrays import Array
from analysis.importance.design_space import DesignSpace, Scope
from analysis.importance.draws import FEW
from analysis.uncertainty.intervals import LEVEL, Interval


@dataclass(frozen=True)
class RankCorrelation:
    """One feature, or one value of a categorical one, among some runs.

    Attributes
    ----------
    feature, label : str
        ``label`` is the feature, or ``feature = value``: whether a run has that value.
    group : str or None
        None for all runs.
    runs, configurations : int
        Those that have the feature.
    rho : Interval
        NaN where the feature or the metric does not vary. The interval is Fisher's with the variance of
        Bonett & Wright 2000 (Psychometrika 65), (1 + rho^2 / 2) / (m - 3) for m configurations.
    p : float
        Of no monotone relation: Student's t on m - 2 degrees of freedom. Runs of one configuration are not
        independent, so m counts configurations; with one run each it is SciPy's p. NaN below 10 of them,
        as the interval is None: the approximations do not hold there.
    adjusted_p : float
        Holm 1979, over all correlations of the analysis.
    """

    feature: str
    label: str
    group: str | None
    runs: int
    configurations: int
    rho: Interval
    p: float
    adjusted_p: float = float("nan")


def rank_correlations(space: DesignSpace) -> tuple[RankCorrelation, ...]:
    """Every feature over all runs, and within each group."""
    found = [
        _correlation(space, feature.name, label, values, scope)
        for scope in space.scopes
        for feature in space.features
        for label, values in zip(feature.labels, feature.values.T, strict=True)
    ]
    adjusted = holm(np.array([one.p for one in found]))
    return tuple(replace(one, adjusted_p=float(p)) for one, p in zip(found, adjusted, strict=True))


def _correlation(
    space: DesignSpace, feature: str, label: str, values: Array, scope: Scope
) -> RankCorrelation:
    there = scope.rows & ~np.isnan(values)
    configurations = len(np.unique(space.configuration[there]))
    rho = spearman(values[there], space.metric[there])
    return RankCorrelation(
        feature=feature,
        label=label,
        group=scope.group,
        runs=int(there.sum()),
        configurations=configurations,
        rho=rank_interval(rho, configurations),
        p=_p_value(rho, configurations),
    )


def spearman(x: Array, y: Array) -> float:
    """Pearson's correlation of the ranks of two samples (n,), ties at their mean rank; NaN if constant."""
    if len(x) < 2:
        return float("nan")
    a, b = rankdata(x) - (len(x) + 1) / 2, rankdata(y) - (len(y) + 1) / 2
    with np.errstate(invalid="ignore"):
        return float(np.clip(a @ b / np.sqrt((a @ a) * (b @ b)), -1.0, 1.0))


def rank_interval(rho: float, independent: int) -> Interval:
    """95 % interval of a rank correlation of so many independent points; none for few or at a bound."""
    if independent < FEW or not abs(rho) < 1:
        return Interval(rho, None, None)
    half = norm.ppf(0.5 + LEVEL / 2) * np.sqrt((1 + rho**2 / 2) / (independent - 3))
    low, high = np.tanh(np.arctanh(rho) + np.array([-half, half]))
    return Interval(rho, float(low), float(high))


def holm(p: Array) -> Array:
    """Adjusted p-values (m,) that keep the chance of any false alarm at its level (Holm 1979).

    NaN stays NaN and does not count as a test.
    """
    adjusted = np.full_like(p, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def _p_value(rho: float, independent: int) -> float:
    if independent < FEW or np.isnan(rho):
        return float("nan")
    with np.errstate(divide="ignore"):
        statistic = abs(rho) * np.sqrt((independent - 2) / (1 - rho**2)) if abs(rho) < 1 else np.inf
    return float(2 * t.sf(statistic, independent - 2))
