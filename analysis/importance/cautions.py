"""What a reader of a design-space study should doubt."""

from itertools import combinations

import numpy as np
import polars as pl

from analysis.fits.table_fit import left_out
from analysis.importance.agreement import Agreement
from analysis.importance.design_space import CATEGORY, NUMBER, DesignSpace, Feature
from analysis.importance.draws import FEW
from analysis.importance.permutation import PermutationImportance
from analysis.importance.rank_correlation import RankCorrelation, spearman

# A correlation over all runs that is so much above that within a group is mostly between groups.
_MUCH_HIGHER = 0.2
_TOGETHER = 0.9
# A share of single runs among the configurations above which seeds do not seem to repeat any.
_MOSTLY_SINGLE = 0.9


def cautions(
    space: DesignSpace,
    agreement: tuple[Agreement, ...],
    permutation: tuple[PermutationImportance, ...],
    correlations: tuple[RankCorrelation, ...],
    pareto: pl.DataFrame | None,
) -> tuple[str, ...]:
    """One sentence each, the gravest first."""
    found = (
        _pooling(space, agreement),
        _no_skill(agreement),
        _seeds_apart(space),
        _unlooked_at(space),
        _few(space, agreement),
        *_features(space, permutation),
        _tests(correlations),
        *_front(space, pareto),
        *left_out(space.table),
    )
    return tuple(sentence for sentence in found if sentence)


def _pooling(space: DesignSpace, agreement: tuple[Agreement, ...]) -> str:
    pooled = agreement[0].pearson.estimate
    below = [
        f"{one.pearson.estimate:.2f} "
        + (f"within {space.within} = {one.group}" if one.group else f"about the means of {space.within}")
        for one in agreement
        if one.pearson.estimate < pooled - _MUCH_HIGHER
    ]
    if not below:
        return ""
    return (
        f"r = {pooled:.2f} over all runs is in part the difference between values of {space.within}: it is "
        f"{', '.join(below)}; judge the prediction there by the latter"
    )


def _no_skill(agreement: tuple[Agreement, ...]) -> str:
    pooled = agreement[0]
    if pooled.explained > 0 and (pooled.pearson.low is None or pooled.pearson.low > 0):
        return ""
    return "the forests predict unseen runs hardly better than the mean does: their importances say nothing"


def _seeds_apart(space: DesignSpace) -> str:
    """Repeats that their features tell apart lie in different folds, and one gives away the other."""
    rows = space.table.rows
    if "seed" not in rows.columns or space.configurations <= _MOSTLY_SINGLE * len(rows):
        return ""
    runs = rows.group_by("seed").len()["len"]
    if len(runs) < 2 or len(runs) > len(rows) / 2:
        return ""
    return (
        f"{len(rows)} runs of {len(runs)} seeds are {space.configurations} configurations: if the seeds "
        "repeat a design, a feature that differs between them lets the forests see the runs they are tried "
        "on; name settings, not what was measured"
    )


def _unlooked_at(space: DesignSpace) -> str:
    categories = [feature.name for feature in space.features if feature.kind == CATEGORY]
    if not space.within and categories:
        return (
            f"all runs were taken together: --within {categories[0]} shows whether r holds within each value"
        )
    if space.within and space.within not in {feature.name for feature in space.features}:
        return f"the forests do not see {space.within}: add it to --features"
    return ""


def _few(space: DesignSpace, agreement: tuple[Agreement, ...]) -> str:
    small = [
        f"{one.configurations} {f'within {space.within} = {one.group}' if one.group else 'in all'}"
        for one in agreement
        if one.scope != "within" and one.configurations < FEW
    ]
    return f"too few configurations for an interval: {', '.join(small)}; add runs" if small else ""


def _features(space: DesignSpace, permutation: tuple[PermutationImportance, ...]) -> list[str]:
    idle = [
        one.feature
        for one in permutation
        if one.group is None and one.rise.low is not None and not one.rise.low > 0
    ]
    numbers = [feature for feature in space.features if feature.kind == NUMBER]
    return [
        *(_together(first, second) for first, second in combinations(numbers, 2)),
        *(_missing(feature) for feature in numbers),
        f"over all runs the permutation importance of {', '.join(idle)} cannot be told from 0"
        if idle
        else "",
    ]


def _together(first: Feature, second: Feature) -> str:
    both = ~np.isnan(first.values[:, 0]) & ~np.isnan(second.values[:, 0])
    rho = spearman(first.values[both, 0], second.values[both, 0])
    if not abs(rho) > _TOGETHER:
        return ""
    return (
        f"{first.name} and {second.name} go together (rank correlation {rho:.2f}): a forest can credit "
        "either, so compare with a study that leaves one out"
    )


def _missing(feature: Feature) -> str:
    missing = int(np.isnan(feature.values).sum())
    if not missing:
        return ""
    return (
        f"{feature.name} is missing in {missing} of {len(feature.values)} runs: to the forests that is a "
        "value of its own, and the rank correlations leave those runs out"
    )


def _tests(correlations: tuple[RankCorrelation, ...]) -> str:
    tested = sum(not np.isnan(one.p) for one in correlations)
    if tested < 2:
        return ""
    return (
        f"{tested} rank correlations were tested, of which {0.05 * tested:.2g} would pass p < 0.05 by chance "
        "alone: use the adjusted p"
    )


def _front(space: DesignSpace, pareto: pl.DataFrame | None) -> list[str]:
    if pareto is None:
        return []
    without = len(space.metric) - len(pareto)
    return [
        f"{without} runs have no positive cost and are not on the Pareto front" if without else "",
        "the Pareto front is of single runs: where a configuration was repeated its luckiest run counts"
        if space.configurations < len(space.metric)
        else "",
    ]
