"""How often intervals of IsoFLOP optima and of their exponent hold the truth, on made-up tables.

    python -m bench.optima_coverage [--draws 300] [--bootstrap 400] [--design NAME ...]

Each draw is a table of six budgets whose losses lie on exact parabolas in log N or on a Chinchilla
surface, with Gaussian noise that is a fraction of the loss. Printed are the shares of 95 % intervals that
hold the truth: of the budgets' optimal sizes, and of the exponent of their power law, plain and weighted
by the optima's precision. Optima of tables in which some budget has none are left out and counted.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from analysis.arrays import Array
from analysis.isoflop.budgets import group_budgets, near_the_lowest
from analysis.isoflop.optima import Optima, find_optima
from analysis.isoflop.power_laws import through_optima
from wardlaw.seeds import generator

Loss = Callable[[Array, Array], Array]
BUDGETS = np.geomspace(1e17, 1e20, 6)
TRUTH = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
EXPONENT = TRUTH["beta"] / (TRUTH["alpha"] + TRUTH["beta"])


def optimal_size(compute: Array) -> Array:
    """Of the surface (arXiv 2203.15556, equation 4); the parabolas have their minima there too."""
    ratio = TRUTH["alpha"] * TRUTH["A"] / (TRUTH["beta"] * TRUTH["B"])
    size: Array = ratio ** (1 / (TRUTH["alpha"] + TRUTH["beta"])) * (compute / 6) ** EXPONENT
    return size


def parabola(compute: Array, size: Array) -> Array:
    """Three per cent above the lowest loss at a factor e from the best size."""
    loss: Array = (2 + (compute / 1e17) ** -0.1) * (1 + 0.03 * np.log(size / optimal_size(compute)) ** 2)
    return loss


def surface(compute: Array, size: Array) -> Array:
    tokens = compute / (6 * size)
    loss: Array = TRUTH["E"] + TRUTH["A"] * size ** -TRUTH["alpha"] + TRUTH["B"] * tokens ** -TRUTH["beta"]
    return loss


@dataclass(frozen=True)
class Design:
    """Tables of one kind.

    Attributes
    ----------
    loss : callable
        Of compute and size.
    sizes : int
        A budget's, evenly in the log.
    deviation : float
        Of the noise, as a fraction of the loss.
    ratio : float
        Largest budget's deviation by the smallest's; ``deviation`` is their geometric mean.
    reach : float
        Natural log of the largest size by the best.
    """

    loss: Loss
    sizes: int
    deviation: float
    ratio: float = 1.0
    reach: float = 1.4


DESIGNS = {
    "parabola-7": Design(parabola, 7, 0.003),
    "parabola-15": Design(parabola, 15, 0.003),
    "parabola-7-uneven": Design(parabola, 7, 0.003, ratio=10.0),
    "surface-7-quiet": Design(surface, 7, 0.003),
    "surface-7-loud": Design(surface, 7, 0.01),
    "surface-7-uneven": Design(surface, 7, 0.003, ratio=10.0),
    "surface-15-quiet": Design(surface, 15, 0.003),
    "surface-15-quiet-wide": Design(surface, 15, 0.003, reach=2.8),
}


def draw(design: Design, number: int) -> pl.DataFrame:
    """A table's rows; the same number gives the same ones."""
    offsets = np.linspace(-design.reach, design.reach, design.sizes)
    compute = np.repeat(BUDGETS, design.sizes)
    size = optimal_size(compute) * np.exp(np.tile(offsets, len(BUDGETS)))
    deviation = design.deviation * design.ratio ** np.linspace(-0.5, 0.5, len(BUDGETS))
    noise = np.repeat(deviation, design.sizes) * generator(number, "optima").normal(size=len(size))
    loss = design.loss(compute, size) * (1 + noise)
    rows = pl.DataFrame({"C": compute, "N": size, "D": compute / (6 * size), "L": loss})
    return rows.with_row_index("run")


def found(design: Design, number: int, replicates: int) -> Optima:
    budgets = group_budgets(draw(design, number), 0.01)
    everything = near_the_lowest(budgets, np.exp(2 * design.reach))
    return find_optima(budgets, everything, "raw", replicates=replicates, seed=number)


def held(optima: Optima) -> tuple[float, bool, bool]:
    """Share of the sizes' intervals that hold the truth, and whether both exponents' do."""
    sizes = [optima.interval(row, "size").covers(size) for row, size in enumerate(optimal_size(BUDGETS))]
    weights = (np.ones(len(BUDGETS)), optima.precision)
    plain, weighted = (through_optima("", optima, one).size.exponent.covers(EXPONENT) for one in weights)
    return float(np.mean(sizes)), plain, weighted


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=300)
    parser.add_argument("--bootstrap", type=int, default=400)
    parser.add_argument("--design", nargs="+", choices=DESIGNS, default=list(DESIGNS))
    options = parser.parse_args()
    for name in options.design:
        tables = [found(DESIGNS[name], number, options.bootstrap) for number in range(options.draws)]
        whole = [optima for optima in tables if optima.accepted.all()]
        sizes, plain, weighted = np.mean([held(optima) for optima in whole], axis=0)
        print(
            f"{name:<24} sizes {sizes:6.1%}   exponent {plain:6.1%}   weighted {weighted:6.1%}   "
            f"({len(whole)} of {len(tables)} tables)",
            flush=True,
        )


if __name__ == "__main__":
    main()
