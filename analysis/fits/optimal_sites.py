"""How the optimal size at a fixed total compute changes with the number of sites."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from analysis.arrays import Array
from analysis.fits.fit import Fit
from analysis.uncertainty.intervals import Interval
from wardlaw.errors import RecordError

# How far beyond the sizes fitted an optimum is looked for, to be told and not to be trusted.
_BEYOND = 1e3
# Each pass keeps the two cells around the lowest point: 33 points, 8 passes, 1e-9 of the first range.
_POINTS, _PASSES = 33, 8
# Share of the replicates that must have an optimum for an interval.
_ENOUGH = 0.975


@dataclass(frozen=True)
class OptimalSizes:
    """The optimal size by the number of sites.

    Attributes
    ----------
    compute : float
        FLOPs of all sites together, C = 6 N D.
    at : dict of str to float
        The law's other inputs.
    sites : tuple of float
    sizes : tuple of Interval
        N of the lowest loss, for each number of sites.
    exponent : Interval
        d log N_opt / d log M over those sites.
    warnings : tuple of str
        Every doubt of the fit, and of the optima.
    """

    compute: float
    at: Mapping[str, float]
    sites: tuple[float, ...]
    sizes: tuple[Interval, ...]
    exponent: Interval
    warnings: tuple[str, ...]

    @property
    def agrees_with_theory(self) -> bool | None:
        """Whether the exponent is negative, as in arXiv 2511.12188; None where its interval holds both.

        The bound there makes the optimal size a negative power of the number of clients at a fixed total
        compute. Only the sign is compared.
        """
        return self.exponent.estimate < 0 if self.exponent.excludes_zero else None

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self) | {"agrees_with_theory": self.agrees_with_theory}


def optimal_sizes(fit: Fit, compute: float, sites: Sequence[float], **at: float) -> OptimalSizes:
    """Minimise a fitted law over N with D = C / (6 N), for each number of sites and each replicate.

    Parameters
    ----------
    fit : Fit
        Of a law of N, D and M.
    compute : float
        FLOPs of all sites together.
    sites : sequence of float
        Two numbers of sites or more.
    **at : float
        The law's other inputs, by letter: ``H=30``.

    Raises
    ------
    RecordError
        If the law has no such optimum, an input is missing, or the fit's own optimum lies more than a
        thousand times outside the sizes fitted.
    """
    law = fit.law
    _refuse(law.name, law.inputs, sites, at)
    seen = fit.sample.inputs[:, law.inputs.index("N")]
    solutions = law.theta_[None] if fit.theta is None else np.vstack([law.theta_, fit.theta])
    theta = np.repeat(solutions, len(sites), axis=0)
    number = np.tile(np.asarray(sites, dtype=np.float64), len(solutions))

    def loss(log_size: Array) -> Array:
        size = np.exp(log_size)
        letters: dict[str, Array | float] = {"N": size, "D": compute / (6 * size), "M": number[:, None], **at}
        columns = [np.broadcast_to(letters[name], size.shape) for name in law.inputs]
        return law.predict_each(np.stack(columns, axis=-1), theta)

    bounds = np.log([seen.min() / _BEYOND, seen.max() * _BEYOND])
    best = _lowest(loss, *np.broadcast_to(bounds, (len(number), 2)).T).reshape(len(solutions), len(sites))
    if np.isnan(best[0]).any():
        raise RecordError(
            f"at {compute:.3g} FLOPs the {law.name} law has no optimal size between {np.exp(bounds[0]):.3g} "
            f"and {np.exp(bounds[1]):.3g}",
            where="compute",
            remedy="Give one nearer to that of the runs; where a term of the fit vanished there is none",
        )
    away = np.log(number[: len(sites)]) - np.log(number[: len(sites)]).mean()
    slopes = best @ away / (away @ away)
    found = np.exp(best)
    return OptimalSizes(
        compute=compute,
        at=at,
        sites=tuple(map(float, sites)),
        sizes=tuple(_interval(fit, column) for column in found.T),
        exponent=_interval(fit, slopes),
        warnings=(*fit.warnings, *_warnings(found, seen)),
    )


def _lowest(loss: Callable[[Array], Array], low: Array, high: Array) -> Array:
    """Where a loss of log N is lowest between two ends, row by row; NaN where that is an end."""
    first, last = low, high
    rows = np.arange(len(low))
    for _ in range(_PASSES):
        grid = np.linspace(low, high, _POINTS, axis=1)
        place = loss(grid).argmin(axis=1)
        low, high = grid[rows, np.maximum(place - 1, 0)], grid[rows, np.minimum(place + 1, _POINTS - 1)]
    middle = 0.5 * (low + high)
    return np.where((low > first) & (high < last), middle, np.nan)


def _interval(fit: Fit, values: Array) -> Interval:
    """The fit's own value (first) with the interval of its replicates, where nearly all have one."""
    estimate, replicates = float(values[0]), values[1:][np.isfinite(values[1:])]
    if fit.resamples is None or len(replicates) < _ENOUGH * (len(values) - 1):
        return Interval(estimate, None, None)
    return fit.resamples.interval(estimate, replicates)


def _warnings(found: Array, seen: Array) -> list[str]:
    told = []
    outside = (found[0] < seen.min()) | (found[0] > seen.max())
    if outside.any():
        told.append(
            f"{outside.sum()} of {len(outside)} optimal sizes lie outside those fitted "
            f"({seen.min():.3g} to {seen.max():.3g})"
        )
    lost = float(np.isnan(found[1:]).any(axis=1).mean()) if len(found) > 1 else 0.0
    if lost:
        told.append(f"{100 * lost:.2g} % of the replicates have no optimum in reach and are left out")
    return told


def _refuse(name: str, inputs: Sequence[str], sites: Sequence[float], at: Mapping[str, float]) -> None:
    if missing := sorted({"N", "D", "M"} - set(inputs)):
        raise RecordError(
            f"the {name} law does not see {', '.join(missing)}: it has no optimal size that depends on sites",
            where="--law",
            remedy="Use a law of N, D and M, such as federated",
        )
    if missing := [letter for letter in inputs if letter not in {"N", "D", "M", *at}]:
        raise RecordError(f"the {name} law needs {', '.join(missing)}", remedy=f"Give {missing[0]}=...")
    if len(set(sites)) < 2 or min(sites) <= 0:
        raise RecordError("two numbers of sites or more are needed for an exponent", where="sites")
