"""How much worse the forests predict unseen runs when one feature is shuffled among them."""

from dataclasses import dataclass

import numpy as np

from analysis.arrays import Array
from analysis.importance.design_space import DesignSpace, Feature, Labels, Scope
from analysis.importance.draws import Draws, draw_configurations
from analysis.importance.forest import Forests
from analysis.uncertainty.intervals import Interval
from wardlaw.seeds import generator

REPEATS = 20


@dataclass(frozen=True)
class PermutationImportance:
    """One feature among some runs.

    Attributes
    ----------
    feature : str
    group : str or None
        None for all runs.
    rise : Interval
        Rise of the mean squared error of out-of-fold predictions as a share of the metric's variance
        among these runs; 95 % by the bootstrap of configurations, the forests as they are. NaN where
        the feature or the metric is the same in all of these runs.
    deviation : float
        Standard deviation of the rise over permutations.
    """

    feature: str
    group: str | None
    rise: Interval
    deviation: float


def permutation_importances(
    space: DesignSpace, forests: Forests, replicates: int, seed: int
) -> tuple[PermutationImportance, ...]:
    """Importance of every feature over all runs, and in each group by shuffling within it.

    All columns of a feature move together. Values are shuffled over runs of all folds, but each run is
    predicted by the forest that has not seen it.
    """
    pooled = _rises(space, forests, np.zeros_like(space.group), seed)
    within = _rises(space, forests, space.group, seed) if space.groups else pooled
    found = []
    for scope in space.scopes:
        draws = draw_configurations(space.configuration[scope.rows], replicates, seed)
        rises = pooled if scope.group is None else within
        found += [
            _importance(feature, scope, space.metric[scope.rows], rise[:, scope.rows], draws)
            for feature, rise in zip(space.features, rises, strict=True)
        ]
    return tuple(found)


def _importance(
    feature: Feature, scope: Scope, metric: Array, rise: Array, draws: Draws
) -> PermutationImportance:
    y = metric - metric.mean()
    if not (feature.varies(scope.rows) and y.any()):
        return PermutationImportance(feature.name, scope.group, Interval(np.nan, None, None), np.nan)
    moments = np.column_stack([np.ones_like(y), rise.mean(axis=0), y, y * y])
    estimate = float(_share(moments.sum(axis=0)))
    return PermutationImportance(
        feature=feature.name,
        group=scope.group,
        rise=draws.interval(estimate, _share(draws.sums(moments))),
        deviation=float(np.std(rise.mean(axis=1), ddof=1) / np.mean(y * y)),
    )


def _rises(space: DesignSpace, forests: Forests, labels: Labels, seed: int) -> list[Array]:
    """Rise (R, n) of each run's squared error when a feature is shuffled among runs of one label."""
    design, owner = space.design, space.owner
    before = (space.metric - forests.predict(design)) ** 2
    found = []
    for place, feature in enumerate(space.features):
        order = shuffles(labels, REPEATS, generator(seed, "shuffle", feature.name))
        shuffled = np.where(owner == place, design[order], design)
        found.append((space.metric - forests.predict(shuffled)) ** 2 - before)
    return found


def shuffles(labels: Labels, repeats: int, random: np.random.Generator) -> Labels:
    """Permutations (R, n) of the runs among those of the same label."""
    places = np.argsort(labels, kind="stable")
    keys = random.random((repeats, len(labels)))
    order = np.empty((repeats, len(labels)), dtype=np.int64)
    order[:, places] = np.lexsort((keys, np.broadcast_to(labels, keys.shape)), axis=-1)
    return order


def _share(moments: Array) -> Array:
    """Mean rise over the metric's variance, from sums (..., 4) of 1, rise, y and y^2."""
    n, rise, y, yy = np.moveaxis(moments, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        share: Array = rise / (yy - y * y / n)
    return share
