"""How far parabolas miss the optimum of a surface that is none: the bias of Approach 2.

A Chinchilla surface at a fixed compute is no parabola in log N unless alpha equals beta: its steeper side
pulls the minimum of the fitted parabola away from it. On grids centred on the optimum every budget is off
by the same factor, so that the exponents are right and the coefficients wrong; on grids that drift
against the optimum the exponents are wrong too (arXiv 2603.22339).
"""

from dataclasses import dataclass, replace

import numpy as np

from analysis.isoflop.optima import Optima, find_optima
from analysis.isoflop.power_laws import OPTIMA, Line, PowerLaws, through_optima
from analysis.laws.law import ScalingLaw
from wardlaw.errors import RecordError


@dataclass(frozen=True)
class Bias:
    """Approach 2 on the fitted surface without noise, at the very sizes and tokens of the runs.

    Attributes
    ----------
    a, true_a : float
        Exponent of the size that the parabolas find, and that of the surface.
    size_intercept, true_size_intercept : float
        log10 of N* at one FLOP.
    tokens_intercept, true_tokens_intercept : float
        log10 of D* at one FLOP.
    size_percent, tokens_percent : float
        How far N* and D* at the largest budget are off.
    outside : int
        Budgets whose optimum on the surface the parabolas cannot find inside the grid.
    """

    a: float
    true_a: float
    size_intercept: float
    true_size_intercept: float
    tokens_intercept: float
    true_tokens_intercept: float
    size_percent: float
    tokens_percent: float
    outside: int


def measure_bias(optima: Optima, law: ScalingLaw, truth: PowerLaws) -> Bias:
    """Approach 2, unweighted, on a surface whose optimum is known.

    Parameters
    ----------
    optima : Optima
        Of the runs: their accepted budgets and the fitted sizes are used again.
    law : ScalingLaw
        The surface, fitted: of N and D.
    truth : PowerLaws
        Its optimum in closed form.

    Raises
    ------
    RecordError
        If fewer than two optima lie inside the grid, of the runs or of the surface.
    """
    budgets, kept = optima.budgets, optima.accepted
    if kept.sum() < OPTIMA:
        raise RecordError(f"{kept.sum()} budgets have an optimum inside their sizes; it needs {OPTIMA}")
    points = np.exp(np.stack([budgets.log_size, budgets.log_tokens], axis=-1))
    surface = law.predict(points.reshape(-1, 2)).reshape(budgets.loss.shape)
    same = replace(
        budgets,
        **{
            name: getattr(budgets, name)[kept]
            for name in ("compute", "log_size", "log_tokens", "present", "runs")
        },
        loss=surface[kept],
    )
    simulated = find_optima(same, optima.used[kept], optima.scale, replicates=0, seed=0)
    if simulated.accepted.sum() < OPTIMA:
        raise RecordError(
            f"on the fitted surface {simulated.accepted.sum()} of {kept.sum()} budgets have an optimum "
            f"inside their sizes; it needs {OPTIMA}"
        )
    found = through_optima("", simulated, np.ones(len(same.compute)))
    largest = float(np.log(budgets.compute[kept].max()))
    return Bias(
        a=found.size.slope,
        true_a=truth.size.slope,
        size_intercept=_intercept(found.size),
        true_size_intercept=_intercept(truth.size),
        tokens_intercept=_intercept(found.tokens),
        true_tokens_intercept=_intercept(truth.tokens),
        size_percent=_percent(found.size, truth.size, largest),
        tokens_percent=_percent(found.tokens, truth.tokens, largest),
        outside=int((~simulated.accepted).sum()),
    )


def _intercept(line: Line) -> float:
    return float(np.log10(line.coefficient.estimate))


def _percent(found: Line, truth: Line, log_compute: float) -> float:
    return 100 * (found.value(log_compute).estimate / truth.value(log_compute).estimate - 1)
