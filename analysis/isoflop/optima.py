"""The optimal size, tokens and loss of each budget, by parabolas, with replicates of them.

Replicates draw residuals, not runs: among 5 to 15 runs of a budget drawn with replacement, parabolas of
three or four distinct sizes are common, and their minima are anywhere. The residuals of all accepted
budgets, each divided by sqrt(1 - leverage) and by its budget's noise, are centred, pooled, and drawn onto
the fitted parabolas at the noise of each budget (Davison and Hinkley 1997, algorithm 6.1). That noise is
itself drawn: its variance is known from few runs, and is in each replicate what a chi-squared variable of
its degrees of freedom makes of it, which for a straight line gives Student's t. The assumptions are that
the noise of one budget is the same at all its sizes, and that runs are independent.

``python -m bench.optima_coverage`` measures the coverage. Of 1,000 tables of each of its designs (six budgets
of 7 or 15 sizes within a factor 4 of the best, 0.3 or 1 % noise), 95 % intervals of N* cover it in 93 to 94 %
where the loss is a parabola, and those of the exponent in 91 to 95 %, also on a Chinchilla surface and with
noise that differs tenfold between budgets. On that surface intervals of N* itself cover it in 88 to 93 %, and
in 2 % where the sizes span a factor 16 to each side: they hold noise and not the parabola's bias
(``bias.py``).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from analysis.arrays import Array
from analysis.isoflop.budgets import Budgets
from analysis.isoflop.noise import estimate_noise
from analysis.isoflop.parabola import Design, design_parabolas
from analysis.solvers.objective import Scale
from analysis.uncertainty.intervals import Interval, percentile_interval
from wardlaw.errors import RecordError
from wardlaw.seeds import generator

_SIZES = 3


@dataclass(frozen=True)
class Minima:
    """Optimal allocation of the budgets: one row a replicate, or none for the runs themselves.

    Attributes
    ----------
    log_size, log_tokens, loss : ndarray (..., B)
    """

    log_size: Array
    log_tokens: Array
    loss: Array


@dataclass(frozen=True)
class Optima:
    """The optimum of each of B budgets.

    Attributes
    ----------
    budgets : Budgets
    used : ndarray (B, n) of bool
        Runs that the parabolas are fitted to.
    scale : {"raw", "log"}
        Whether the parabola is of the loss or of its log.
    design : Design
    coefficients : ndarray (B, 3)
        Of the loss as a multiple of the budget's lowest, or of the log of that.
    minima : Minima
    replicates : Minima or None
        None where no run is spare.
    degrees : ndarray (B,)
        Degrees of freedom behind the noise of a budget; zero without replicates.
    refused : tuple of str
        Why a budget has no optimum, or nothing, a budget.
    """

    budgets: Budgets
    used: NDArray[np.bool_]
    scale: Scale
    design: Design
    coefficients: Array
    minima: Minima
    replicates: Minima | None
    degrees: Array
    refused: tuple[str, ...]

    @property
    def accepted(self) -> NDArray[np.bool_]:
        """Budgets (B,) whose optimum lies inside their sizes."""
        return np.array([not reason for reason in self.refused])

    @property
    def spread(self) -> Array:
        """Standard error of the log of the optimal size (B,): half the middle 68 % of the replicates."""
        if self.replicates is None:
            return np.full(len(self.refused), np.nan)
        low, high = np.quantile(self.replicates.log_size, norm.cdf([-1, 1]), axis=0)
        return np.asarray(0.5 * (high - low))

    @property
    def precision(self) -> Array:
        """1 / ``spread``^2 (B,): the weight of a budget's optimum.

        Raises
        ------
        RecordError
            If some accepted optimum has no spread.
        """
        if not (self.spread[self.accepted] > 0).all():
            raise RecordError("the optima have no known uncertainty to be weighted by")
        return np.where(self.accepted, self.spread, np.inf) ** -2

    def loss_at(self, log_size: Array) -> Array:
        """Loss (B, m) of the parabolas at log sizes (B, m)."""
        return _loss(self.design.at(self.coefficients, log_size), _lowest(self.budgets)[:, None], self.scale)

    def interval(self, budget: int, quantity: str) -> Interval:
        """Interval of a budget's ``size``, ``tokens`` or ``loss``."""
        name, scale = (quantity, np.asarray) if quantity == "loss" else (f"log_{quantity}", np.exp)
        estimate = float(scale(getattr(self.minima, name)[budget]))
        if self.replicates is None or self.refused[budget]:
            return Interval(estimate, None, None)
        drawn = scale(getattr(self.replicates, name)[:, budget])
        return percentile_interval(estimate, drawn, np.inf)


def find_optima(
    budgets: Budgets, used: NDArray[np.bool_], scale: Scale, *, replicates: int, seed: int
) -> Optima:
    """Fit a parabola to each budget, and judge whether its minimum can be believed.

    Parameters
    ----------
    budgets : Budgets
    used : ndarray (B, n) of bool
        Runs to fit.
    scale : {"raw", "log"}
        Parabolas of the loss (arXiv 2203.15556, section 3.2) or of its log.
    replicates, seed : int
        Of the bootstrap.
    """
    design = design_parabolas(budgets.log_size, used)
    relative = budgets.loss / _lowest(budgets)[:, None]
    measured = np.where(used, relative if scale == "raw" else np.log(relative), 0.0)
    coefficients = design.fit(measured)
    refused = tuple(_refusals(budgets, design, coefficients))
    accepted = np.array([not reason for reason in refused])
    drawn, degrees = None, np.zeros(len(accepted))
    if replicates and (used.sum(axis=1) > _SIZES)[accepted].any():
        fitted = (design.powers @ coefficients[..., None])[..., 0]
        noise = estimate_noise(measured - fitted, design.leverage, used & accepted[:, None], _SIZES)
        random = generator(seed, "isoflop")
        error = random.choice(noise.shape, size=(replicates, *measured.shape))
        variance = noise.degrees / random.chisquare(noise.degrees, size=(replicates, len(accepted)))
        sampled = fitted + (noise.deviation * np.sqrt(variance))[..., None] * error
        drawn = _minima(budgets, used, design, design.fit(np.where(used, sampled, 0.0)), scale)
        degrees = noise.degrees
    return Optima(
        budgets=budgets,
        used=used,
        scale=scale,
        design=design,
        coefficients=coefficients,
        minima=_minima(budgets, used, design, coefficients, scale),
        replicates=drawn,
        degrees=degrees,
        refused=refused,
    )


def _minima(
    budgets: Budgets, used: NDArray[np.bool_], design: Design, coefficients: Array, scale: Scale
) -> Minima:
    """Minima with the tokens there, on the straight line of log D against log N of the fitted runs.

    That line is exact where D = C / (6 N), and close to it where a budget counts other FLOPs too.
    """
    log_size, value = design.minimum(coefficients, budgets.ends)
    line = np.linalg.pinv(design.powers[..., :2]) @ np.where(used, budgets.log_tokens, 0.0)[..., None]
    z = (log_size - design.centre) / design.spread
    return Minima(
        log_size=log_size,
        log_tokens=np.asarray(line[:, 0, 0] + z * line[:, 1, 0], dtype=np.float64),
        loss=_loss(value, _lowest(budgets), scale),
    )


def _refusals(budgets: Budgets, design: Design, coefficients: Array) -> list[str]:
    vertex, _ = design.minimum(coefficients, budgets.ends)
    reasons = []
    for row, sizes in enumerate(budgets.sizes):
        smallest, largest = (float(end[row]) for end in budgets.ends)
        lowest = float(budgets.log_size[row, budgets.lowest[row]])
        if sizes < _SIZES:
            reasons.append(f"{sizes} size{'s' * int(sizes > 1)}: a parabola needs {_SIZES}")
        elif coefficients[row, 2] <= 0:
            reasons.append("the losses do not curve upwards: no minimum")
        elif not smallest < vertex[row] < largest:
            side = "below the smallest" if vertex[row] <= smallest else "above the largest"
            reasons.append(f"the minimum lies at or {side} size")
        elif lowest in (smallest, largest):
            side = "smallest" if lowest == smallest else "largest"
            reasons.append(f"the lowest loss is that of the {side} size: nothing beyond brackets it")
        else:
            reasons.append("")
    return reasons


def _lowest(budgets: Budgets) -> Array:
    return np.asarray(budgets.loss.min(axis=1))


def _loss(value: Array, lowest: Array, scale: Scale) -> Array:
    return lowest * (value if scale == "raw" else np.exp(value))
