"""The law of compute-optimal allocation: how the best size grows with the compute."""

from typing import ClassVar

import numpy as np

from analysis.arrays import Array
from analysis.laws.power_sum import PowerSum
from analysis.solvers.objective import LOG_SQUARES, Objective


class Allocation(PowerSum):
    """N*(C) = k C^a: a straight line in the logs (arXiv 2203.15556; arXiv 2406.19146).

    Free parameters: k > 0 in units of N / FLOP^a, a unbounded. Its target is the optimal size of a budget,
    which someone estimated already; ``wardlaw analysis isoflop`` estimates it from losses. By default least
    squares in the logs, as both papers fit it.
    """

    name = "allocation"
    formula = "N*(C) = k C^a"
    source = "Hoffmann et al. 2022, arXiv 2203.15556; Porian et al. 2024, arXiv 2406.19146"
    inputs = ("C",)
    target = "N*"
    coefficients = ("k",)
    exponents = ("a",)
    parameters = ("k", "a")
    exponent_starts: ClassVar = {"a": (0.2, 0.5, 0.8)}

    def __init__(self, objective: Objective = LOG_SQUARES) -> None:
        super().__init__(objective)

    @staticmethod
    def features(inputs: Array) -> Array:
        """One term, log C."""
        return np.log(inputs)[:, None, :]
