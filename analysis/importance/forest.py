"""Random forests (Breiman 2001) that predict each run without having seen its configuration."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.arrays import Array
from analysis.importance.design_space import DesignSpace, Labels
from wardlaw.errors import RecordError
from wardlaw.seeds import derive_seed, generator

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestRegressor

TREES = 100
REFERENCE = "random forests of Breiman 2001 (Machine Learning 45)"
_LARGEST_SEED = 2**32


@dataclass(frozen=True)
class Forests:
    """A forest a fold.

    Attributes
    ----------
    fold : ndarray (n,) of int
        In which fold each run is held out.
    forests : tuple of RandomForestRegressor
        Each fitted to the runs of the other folds.
    """

    fold: Labels
    forests: "tuple[RandomForestRegressor, ...]"

    def predict(self, design: Array) -> Array:
        """Metric (..., n) of designs (..., n, Q), each run's by the forest that did not see it."""
        predicted = np.empty(design.shape[:-1])
        for place, forest in enumerate(self.forests):
            held = design[..., self.fold == place, :]
            predicted[..., self.fold == place] = forest.predict(held.reshape(-1, held.shape[-1])).reshape(
                held.shape[:-1]
            )
        return predicted

    def impurity(self, owner: Labels) -> Array:
        """Share of the decrease of variance that each fold's forest owes to each feature (K, F).

        Columns of one feature are added up.
        """
        shares = np.stack([forest.feature_importances_ for forest in self.forests])
        return np.stack([shares[:, owner == place].sum(axis=1) for place in range(owner.max() + 1)], axis=1)


def fit_forests(space: DesignSpace, folds: int, seed: int) -> Forests:
    """Fit a forest to all folds but one, for each fold.

    Parameters
    ----------
    space : DesignSpace
    folds : int
        Configurations are shuffled and dealt out to so many; all runs of one are in one fold.
    seed : int

    Raises
    ------
    RecordError
        If there are fewer configurations than folds.
    """
    # It takes half a second to load, which fits and comparisons have no use for.
    from sklearn.ensemble import RandomForestRegressor

    fold = deal_folds(space.configuration, folds, seed)
    design = space.design
    forests = tuple(
        RandomForestRegressor(
            n_estimators=TREES, random_state=derive_seed(seed, "forest", place) % _LARGEST_SEED
        ).fit(design[fold != place], space.metric[fold != place])
        for place in range(folds)
    )
    return Forests(fold, forests)


def deal_folds(configuration: Labels, folds: int, seed: int) -> Labels:
    """Fold (n,) of each run: shuffled configurations dealt out in turn.

    Raises
    ------
    RecordError
        If there are fewer configurations than folds.
    """
    number = int(configuration.max()) + 1
    if folds < 2 or number < max(folds, 2):
        raise RecordError(
            f"{number} distinct configurations cannot make {folds} folds",
            where="--folds",
            remedy=f"Use from 2 to {number}" if number > 1 else "Name more features, or add runs",
        )
    dealt = np.empty(number, dtype=np.int64)
    dealt[generator(seed, "folds").permutation(number)] = np.arange(number) % folds
    return dealt[configuration]
