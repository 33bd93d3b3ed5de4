"""Power laws of the optimal size and tokens in the compute, as straight lines in the logs."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import f as fisher
from scipy.stats import t

from analysis.arrays import Array
from analysis.isoflop.optima import Optima
from analysis.uncertainty.intervals import LEVEL, Interval, percentile_interval
from wardlaw.errors import RecordError

OPTIMA = 2


@dataclass(frozen=True)
class Line:
    """log y = level + slope (log C - centre), with replicates.

    Attributes
    ----------
    slope, level : float
    slopes, levels : ndarray (R,) or None
        None where nothing supports an interval.
    centre : float
        In log FLOPs.
    degrees : float
        Degrees of freedom that percentiles of the replicates allow for; infinite where these hold the
        noise's own uncertainty.
    """

    slope: float
    level: float
    slopes: Array | None
    levels: Array | None
    centre: float
    degrees: float = np.inf

    @property
    def exponent(self) -> Interval:
        """The exponent of C."""
        return self._interval(self.slope, self.slopes)

    @property
    def coefficient(self) -> Interval:
        """What the power of C is multiplied by: y at one FLOP."""
        return self.value(0.0)

    def value(self, log_compute: float) -> Interval:
        """Y at a compute."""
        offset = log_compute - self.centre
        drawn = None
        if self.slopes is not None and self.levels is not None:
            drawn = np.exp(self.levels + offset * self.slopes)
        return self._interval(float(np.exp(self.level + offset * self.slope)), drawn)

    def _interval(self, estimate: float, drawn: Array | None) -> Interval:
        if drawn is None:
            return Interval(estimate, None, None)
        return percentile_interval(estimate, drawn, self.degrees)


@dataclass(frozen=True)
class PowerLaws:
    """N* = k C^a and D* = k' C^b by one approach.

    Attributes
    ----------
    approach : str
    size, tokens : Line
    points : int
        Optima, or points of the envelope, that the lines pass through; runs of a fitted surface.
    scatter : Interval or None
        Exponent of the size with Student's interval from how far the optima lie off the line; it
        holds whatever moves them, the interval of ``size`` the noise of the losses alone.
    excess_p : float or None
        p-value of the F test that the noise of the losses explains that scatter.
    """

    approach: str
    size: Line
    tokens: Line
    points: int
    scatter: Interval | None = None
    excess_p: float | None = None

    @property
    def tied(self) -> Line:
        """The line of the size under a + b = 1.

        Least squares of both logs with one weight a budget; the exponent is then the mean of a and 1 - b.
        """
        size, tokens = self.size, self.tokens
        slopes = None
        if size.slopes is not None and tokens.slopes is not None:
            slopes = 0.5 * (size.slopes + 1 - tokens.slopes)
        slope = 0.5 * (size.slope + 1 - tokens.slope)
        return Line(slope, size.level, slopes, size.levels, size.centre, size.degrees)


def _straight_line(log_compute: Array, log_value: Array, weight: Array, drawn: Array | None) -> Line:
    """Weighted least squares through B points, in every replicate too.

    Parameters
    ----------
    log_compute, log_value, weight : ndarray (B,)
    drawn : ndarray (R, B) or None
        Replicates of ``log_value``, in which the noise's own uncertainty is drawn too.
    """
    share = weight / weight.sum()
    centre = float(share @ log_compute)
    off = log_compute - centre
    lever = share * off / (share @ off**2)
    slopes, levels = (None, None) if drawn is None else (drawn @ lever, drawn @ share)
    return Line(float(log_value @ lever), float(log_value @ share), slopes, levels, centre)


def through_optima(approach: str, optima: Optima, weight: Array) -> PowerLaws:
    """Approach 2: lines through the accepted optima.

    Parameters
    ----------
    approach : str
        Name of the result.
    optima : Optima
    weight : ndarray (B,)
        Of each budget.

    Raises
    ------
    RecordError
        If fewer than two budgets were accepted.
    """
    kept = optima.accepted
    if kept.sum() < OPTIMA:
        raise RecordError(
            f"{kept.sum()} of {len(kept)} budgets have an optimum inside their sizes; a power law needs "
            f"{OPTIMA}"
        )
    log_compute, weight = np.log(optima.budgets.compute[kept]), weight[kept]
    point, drawn = optima.minima, optima.replicates
    size, tokens = (
        _straight_line(log_compute, measured[kept], weight, sampled)
        for measured, sampled in (
            (point.log_size, drawn.log_size[:, kept] if drawn else None),
            (point.log_tokens, drawn.log_tokens[:, kept] if drawn else None),
        )
    )
    off = point.log_size[kept] - size.level - size.slope * (log_compute - size.centre)
    return PowerLaws(
        approach,
        size,
        tokens,
        points=int(kept.sum()),
        scatter=_scatter(size, log_compute, off, weight),
        excess_p=_excess(off, optima.spread[kept], float(optima.degrees[kept].min())),
    )


def _scatter(line: Line, log_compute: Array, off: Array, weight: Array) -> Interval | None:
    spare = len(off) - 2
    if spare < 1:
        return None
    error = np.sqrt((weight @ off**2) / spare / (weight @ (log_compute - line.centre) ** 2))
    half = float(t.ppf(0.5 + LEVEL / 2, spare) * error)
    return Interval(line.slope, line.slope - half, line.slope + half)


def _excess(off: Array, spread: Array, degrees: float) -> float | None:
    spare = len(off) - 2
    if spare < 1 or not degrees or not (spread > 0).all():
        return None
    return float(fisher.sf(((off / spread) ** 2).sum() / spare, spare, degrees))
