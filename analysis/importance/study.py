"""A design-space study: which hyper-parameters a metric depends on, over all runs and within each kind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from analysis.arrays import Array
from analysis.importance.agreement import Agreement, agreements
from analysis.importance.cautions import cautions
from analysis.importance.design_space import DesignSpace, Labels
from analysis.importance.forest import REFERENCE, TREES, fit_forests
from analysis.importance.from_table import take_design_space
from analysis.importance.pareto import pareto_table
from analysis.importance.permutation import REPEATS, PermutationImportance, permutation_importances
from analysis.importance.rank_correlation import RankCorrelation, rank_correlations
from analysis.importance.rendering import render_importance
from analysis.tables.groups import group_columns
from analysis.tables.run_table import RunTable


@dataclass(frozen=True)
class Importance:
    """What a metric depends on.

    Attributes
    ----------
    space : DesignSpace
        The runs.
    predicted : ndarray (n,)
        Metric of each run by the forest that did not see its configuration.
    fold : ndarray (n,) of int
    impurity : ndarray (K, F)
        Share of the decrease of variance that each fold's forest owes to each feature.
    agreement : tuple of Agreement
        Of predictions and metric: over all runs, about the groups' means, in each group.
    permutation : tuple of PermutationImportance
    correlations : tuple of RankCorrelation
    pareto : polars.DataFrame or None
        A row a run: ``run``, ``group``, ``cost``, ``metric``, ``on_front``; by cost.
    maximise : bool
        Whether more of the metric is better on the front.
    seed : int
    warnings : tuple of str
    """

    space: DesignSpace
    predicted: Array
    fold: Labels
    impurity: Array
    agreement: tuple[Agreement, ...]
    permutation: tuple[PermutationImportance, ...]
    correlations: tuple[RankCorrelation, ...]
    pareto: pl.DataFrame | None
    maximise: bool
    seed: int
    warnings: tuple[str, ...]

    @property
    def predictions(self) -> pl.DataFrame:
        """A row a run: ``run``, ``group``, ``configuration``, ``fold``, ``measured``, ``predicted``."""
        return self.space.labelled.with_columns(
            configuration=pl.Series(self.space.configuration),
            fold=pl.Series(self.fold),
            measured=pl.Series(self.space.metric),
            predicted=pl.Series(self.predicted),
        )

    @property
    def agreement_table(self) -> pl.DataFrame:
        """A row a scope: ``scope``, ``group``, ``runs``, ``configurations``, ``pearson``, ``explained``."""
        return _table(
            {
                "scope": one.scope,
                "group": one.group,
                "runs": one.runs,
                "configurations": one.configurations,
                "pearson": one.pearson.estimate,
                "low": one.pearson.low,
                "high": one.pearson.high,
                "explained": one.explained,
            }
            for one in self.agreement
        )

    @property
    def importance_table(self) -> pl.DataFrame:
        """A row a group (null: all runs) and feature: ``impurity`` (all runs only), ``permutation``."""
        mean, deviation = self.impurity.mean(axis=0), self.impurity.std(axis=0, ddof=1)
        place = {feature.name: number for number, feature in enumerate(self.space.features)}
        return _table(
            {
                "group": one.group,
                "feature": one.feature,
                "kind": self.space.features[place[one.feature]].kind,
                "impurity": None if one.group is not None else mean[place[one.feature]],
                "impurity_deviation": None if one.group is not None else deviation[place[one.feature]],
                "permutation": one.rise.estimate,
                "low": one.rise.low,
                "high": one.rise.high,
                "deviation": one.deviation,
            }
            for one in self.permutation
        )

    @property
    def correlation_table(self) -> pl.DataFrame:
        """A row a group (null: all runs) and feature or value of one: ``rho``, ``p``, ``adjusted_p``."""
        return _table(
            {
                "group": one.group,
                "feature": one.feature,
                "label": one.label,
                "runs": one.runs,
                "configurations": one.configurations,
                "rho": one.rho.estimate,
                "low": one.rho.low,
                "high": one.rho.high,
                "p": one.p,
                "adjusted_p": one.adjusted_p,
            }
            for one in self.correlations
        )

    def summary(self) -> str:
        """The study as the terminal shows it."""
        return render_importance(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Everything that a machine may want."""
        table = self.space.table
        return {
            "metric": self.space.metric_name,
            "features": {feature.name: feature.kind for feature in self.space.features},
            "within": self.space.within or None,
            "n": len(self.space.metric),
            "configurations": self.space.configurations,
            "folds": int(self.fold.max()) + 1,
            "trees": TREES,
            "permutations": REPEATS,
            "seed": self.seed,
            "reference": REFERENCE,
            "agreement": self.agreement_table.to_dicts(),
            "importance": self.importance_table.to_dicts(),
            "rank_correlations": self.correlation_table.to_dicts(),
            "pareto": None if self.pareto is None else self.pareto.to_dicts(),
            "best": "largest" if self.maximise else "smallest",
            "source": table.source,
            "notes": list(table.notes),
            "dropped": [vars(run) for run in table.dropped],
            "warnings": list(self.warnings),
        }


def analyse_importance(
    table: RunTable,
    metric: str,
    features: Sequence[str],
    *,
    within: str = "",
    flops: str = "",
    maximise: bool = False,
    folds: int = 5,
    replicates: int = 2000,
    seed: int = 42,
) -> Importance:
    """Find what a metric depends on.

    Parameters
    ----------
    table : RunTable
    metric : str
        Column of numbers, of any sign.
    features : sequence of str
        Columns of hyper-parameters: numbers, or categories in text.
    within : str
        Column whose values are also looked at apart; the table's own groups if empty; or ``none``.
    flops : str
        Column of the cost that the metric's Pareto front is drawn against; no front if empty.
    maximise : bool
        Whether more of the metric is better on the front.
    folds : int
        Of the cross-validation; all runs of one configuration are in one fold.
    replicates, seed : int
        Of the bootstrap; folds, forests and permutations come from the seed too.

    Raises
    ------
    RecordError
        If a column is absent or constant, or there are fewer configurations than folds.
    """
    space = take_design_space(table, metric, features, group_columns(table, within))
    pareto = pareto_table(space, flops, maximise=maximise) if flops else None
    forests = fit_forests(space, folds, seed)
    predicted = forests.predict(space.design)
    agreement = agreements(space, predicted, replicates, seed)
    permutation = permutation_importances(space, forests, replicates, seed)
    correlations = rank_correlations(space)
    return Importance(
        space=space,
        predicted=predicted,
        fold=forests.fold,
        impurity=forests.impurity(space.owner),
        agreement=agreement,
        permutation=permutation,
        correlations=correlations,
        pareto=pareto,
        maximise=maximise,
        seed=seed,
        warnings=cautions(space, agreement, permutation, correlations, pareto),
    )


def _table(rows: Any) -> pl.DataFrame:
    """Rows as a table, null where there is no number."""
    return pl.DataFrame(list[Mapping[str, Any]](rows), infer_schema_length=None).fill_nan(None)
