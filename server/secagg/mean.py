"""A weighted mean out of a sum of levels."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardlaw.errors import RoundError
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
    error : float
        Bound on what rounding has changed of any number of the mean.
    """

    models: Mapping[str, NDArray[np.float64]]
    sites: int
    weight: float
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
    total : array, uint32, (n + 1,)
        Sum of the weighted updates' levels and, last, of the weights' levels.
    sites : int
        Sites in it.
    start : mapping of str to array, float32
        The model that the round started from, n numbers.
    quantisation : Quantisation

    Raises
    ------
    RoundError
        If no such sites can have that sum of weights: a site has not sent what was agreed on.
    """
    shapes: Shapes = {name: array.shape for name, array in start.items()}
    if total.size != vector_size(shapes) + 1:
        raise ValueError(f"a sum of {total.size} numbers for a model of {vector_size(shapes)}")
    level = int(total[-1].view(np.int32))
    if not sites <= level <= sites * quantisation.largest:
        raise RoundError(f"the sum of {sites} weights cannot be level {level}: a site sent something else")
    weight = level / quantisation.largest
    update = quantisation.real(total[:-1])
    update /= weight
    models = split(update, shapes)
    for name, array in models.items():
        array += start[name]
    return SecureMean(models, sites, weight, quantisation.mean_error(sites, weight))
