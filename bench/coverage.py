"""How often intervals of differences and efficiencies hold the truth, on surfaces whose truth is known.

    python -m bench.coverage [--draws 300] [--bootstrap 400] [--objective NAME] [--design NAME ...]

Each draw makes two groups of runs that follow one law with different parameters, on a grid of sizes and
budgets, and compares them as ``wardlaw analysis compare`` does. Noise is a fraction of the loss; the
groups' runs of one place and seed share 0.7 of it (half of its variance). Printed for each quantity are
the share of 95 % intervals that hold the truth, its binomial (Clopper-Pearson) interval and the
intervals' median width.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.stats import binomtest

from analysis.comparison.compare import Comparison, compare
from analysis.fits.table_fit import Request
from analysis.laws.registry import find_law
from analysis.solvers.objective import OBJECTIVES
from analysis.tables.run_table import RunTable
from wardlaw.seeds import generator

Noise = Callable[[np.random.Generator, np.ndarray], np.ndarray]
SHARED = 0.7
CHINCHILLA = (
    {"E": 1.70, "A": 400.0, "B": 410.0, "alpha": 0.34, "beta": 0.28},
    {"E": 1.75, "A": 330.0, "B": 430.0, "alpha": 0.32, "beta": 0.28},
)
POWER = ({"E": 1.40, "A": 40.0, "alpha": 0.35}, {"E": 1.44, "A": 36.0, "alpha": 0.33})
PURE = ({"A": 8.0, "alpha": 0.12}, {"A": 9.0, "alpha": 0.13})


def gaussian(random: np.random.Generator, size: np.ndarray) -> np.ndarray:
    return random.normal(size=len(size))


def heavy(random: np.random.Generator, size: np.ndarray) -> np.ndarray:
    """Student's t with 3 degrees of freedom, of unit variance."""
    return random.standard_t(3, size=len(size)) / np.sqrt(3)


def uneven(random: np.random.Generator, size: np.ndarray) -> np.ndarray:
    """Six times as much at the smallest size as at the largest: 2 to 0.3 where sizes span a factor 100."""
    return 2 * (size / size.min()) ** -0.4 * random.normal(size=len(size))


@dataclass(frozen=True)
class Design:
    """Two groups' runs.

    Attributes
    ----------
    law : str
    truths : pair of dict of str to float
        Parameters of the reference and of the group.
    sizes, budgets : ndarray
    seeds : int
    noise : callable
    deviation : float
        Of the log loss.
    level : float
        Loss at which efficiencies are judged.
    """

    law: str
    truths: tuple[dict[str, float], dict[str, float]]
    sizes: np.ndarray
    budgets: np.ndarray
    seeds: int
    noise: Noise = gaussian
    deviation: float = 0.003
    level: float = 3.2


FEW, MANY = np.geomspace(1e7, 1e9, 5), np.geomspace(1e7, 1e9, 8)
BUDGETS, MORE = np.geomspace(2e8, 2e10, 4), np.geomspace(2e8, 2e10, 6)
SMALL, ONE = np.geomspace(1e4, 1e6, 5), np.array([1e6])
DESIGNS = {
    "grid-2-seeds": Design("chinchilla", CHINCHILLA, FEW, BUDGETS, 2),
    "grid-2-seeds-uneven": Design("chinchilla", CHINCHILLA, FEW, BUDGETS, 2, uneven),
    "grid-2-seeds-heavy": Design("chinchilla", CHINCHILLA, FEW, BUDGETS, 2, heavy),
    "grid-3-seeds": Design("chinchilla", CHINCHILLA, FEW, BUDGETS, 3),
    "48-single-runs": Design("chinchilla", CHINCHILLA, MANY, MORE, 1),
    "48-single-runs-uneven": Design("chinchilla", CHINCHILLA, MANY, MORE, 1, uneven),
    "48-single-runs-heavy": Design("chinchilla", CHINCHILLA, MANY, MORE, 1, heavy),
    "24-single-runs": Design("power", POWER, np.geomspace(1e4, 1e6, 24), ONE, 1, level=1.9),
    "sizes-2-seeds": Design("power", POWER, SMALL, ONE, 2, level=1.9),
    "sizes-2-seeds-pure": Design("pure-power", PURE, SMALL[:4], ONE, 2, deviation=0.01, level=2.2),
}


def draw(design: Design, number: int) -> RunTable:
    """Runs of both groups; the same number gives the same runs."""
    random = generator(number, "coverage")
    places = np.meshgrid(design.sizes, design.budgets, np.arange(design.seeds), indexing="ij")
    size, tokens, seed = (values.ravel() for values in places)
    shared = design.noise(random, size)
    groups = []
    for name, truth in zip(("Centralised", "Federated"), design.truths, strict=True):
        own = design.noise(random, size)
        error = SHARED * shared + np.sqrt(1 - SHARED**2) * own
        loss = surface(truth, size, tokens) * np.exp(design.deviation * error)
        groups.append(pl.DataFrame({"arm": name, "N": size, "D": tokens, "seed": seed, "L": loss}))
    rows = pl.concat(groups).with_row_index("run")
    return RunTable(rows, (), (), "made up", "arm")


def surface(truth: dict[str, float], size: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    of_tokens = truth["B"] * tokens ** -truth["beta"] if "B" in truth else 0.0
    return truth.get("E", 0.0) + truth["A"] * size ** -truth["alpha"] + of_tokens


def compared(design: Design, number: int, replicates: int, objective: str) -> Comparison:
    request = Request(design.law, objective=objective, replicates=replicates)
    return compare(draw(design, number), reference="Centralised", law=request, levels=[design.level])


def outcomes(
    design: Design, number: int, replicates: int, objective: str = ""
) -> Iterator[tuple[str, bool, float]]:
    """What was estimated, whether its interval holds the truth, and the interval's width."""
    reference, group = design.truths
    contrast = compared(design, number, replicates, objective).contrasts[0]
    for name, found in contrast.exponents.items():
        yield f"difference in {name}", found.covers(group[name] - reference[name]), found.high - found.low
    for one in contrast.efficiencies:
        row = one.curve.row(by_predicate=pl.col("level") == design.level, named=True)
        needed = [needs(design, truth, one.kind, one.held) for truth in design.truths]
        holds = row["low"] <= needed[0] / needed[1] <= row["high"]
        yield f"{one.kind} efficiency", holds, row["high"] - row["low"]


def needs(design: Design, truth: dict[str, float], kind: str, held: dict[str, float]) -> float:
    """Closed form of the input that a law takes to the design's level."""
    left = design.level - truth.get("E", 0.0)
    if kind == "compute":
        alpha, beta = truth["alpha"], truth["beta"]
        # At the best split, of what is left the sizes' term has beta / (alpha + beta).
        size = (truth["A"] * (alpha + beta) / (beta * left)) ** (1 / alpha)
        tokens = (truth["B"] * (alpha + beta) / (alpha * left)) ** (1 / beta)
        return float(6 * size * tokens)
    if kind == "data":
        return float((truth["B"] / (left - truth["A"] * held["N"] ** -truth["alpha"])) ** (1 / truth["beta"]))
    if "B" in truth:
        left -= truth["B"] * held["D"] ** -truth["beta"]
    return float((truth["A"] / left) ** (1 / truth["alpha"]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=300)
    parser.add_argument("--bootstrap", type=int, default=400)
    parser.add_argument("--objective", choices=OBJECTIVES, default="", help="the law's own if not said")
    parser.add_argument("--design", nargs="+", choices=DESIGNS, default=list(DESIGNS))
    options = parser.parse_args()
    for name in options.design:
        design = DESIGNS[name]
        print(f"{name}: {find_law(design.law).formula}, {options.draws} draws", flush=True)
        found: dict[str, list[tuple[bool, float]]] = {}
        for number in range(options.draws):
            for quantity, holds, width in outcomes(design, number, options.bootstrap, options.objective):
                found.setdefault(quantity, []).append((holds, width))
        for quantity, results in found.items():
            held, widths = zip(*results, strict=True)
            share = binomtest(sum(held), len(held)).proportion_ci()
            print(
                f"  {quantity:<22} {np.mean(held):6.1%} ({share.low:.1%} to {share.high:.1%})"
                f"   median width {np.median(widths):.3g}",
                flush=True,
            )


if __name__ == "__main__":
    main()
