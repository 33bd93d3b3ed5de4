"""A weighted mean out of a sum of levels."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardlaw.errors import RoundError
from wardlaw.secagg.counts import COUNTS, Counts
from wardlaw.secagg.quantisation import Quantisation
from wardlaw.secagg.vectors import Shapes, split, vector_size


@dataclass(frozen=True)
class SecureMean:
    """Mean of the models of the sites that lived, and what is known of it.

    Attributes
    ----------
    models : mapping of str to array, float64
        Weighted mean of the sites' models: the round's model plus the mean update.
    sites : int
    weight : float
        Sum of the sites' weights, each at most 1.
    examples : int
        Sum of the sites' unique training tokens.
    error : float
        Bound on what rounding has changed of any number of the mean.
    """

    models: Mapping[str, NDArray[np.float64]]
    sites: int
    weight: float
    examples: int
    error: float

    @property
    def size(self) -> int:
        """Numbers of the model."""
        return sum(array.size for array in self.models.values())

    def mean(self) -> dict[str, NDArray[np.float64]]:
        """The mean models, in the order of the round's."""
        return dict(self.models)


def mean_of(
    total: NDArray[np.uint32],
    sites: int,
    start: Mapping[str, NDArray[np.float32]],
    quantisation: Quantisation,
) -> SecureMean:
    """Mean of ``sites`` sites from the sum of their levels.

    Parameters
    ----------
    total : array, uint32, (n + 3,)
        Sum of the weighted updates' levels and, behind them, of the sites' counts.
    sites : int
        Sites in it.
    start : mapping of str to array, float32
        The model that the round started from, n numbers.
    quantisation : Quantisation

    Raises
    ------
    RoundError
        If no such sites can have those sums of counts: a site has not sent what was agreed on.
    """
    shapes: Shapes = {name: array.shape for name, array in start.items()}
    if total.size != vector_size(shapes) + COUNTS:
        raise ValueError(f"a sum of {total.size} numbers for a model of {vector_size(shapes)}")
    counts = Counts.of(total[-COUNTS:])
    if not sites <= counts.weight <= sites * quantisation.largest:
        raise RoundError(
            f"the sum of {sites} weights cannot be level {counts.weight}: a site sent something else"
        )
    if counts.examples < 0:
        raise RoundError(f"{sites} sites cannot have {counts.examples} examples: a site sent something else")
    weight = counts.weight / quantisation.largest
    update = quantisation.real(total[:-COUNTS])
    update /= weight
    models = split(update, shapes)
    for name, array in models.items():
        array += start[name]
    return SecureMean(models, sites, weight, counts.examples, quantisation.mean_error(sites, weight))
