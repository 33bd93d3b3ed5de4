"""An interval as a reader sees it."""

import math

from analysis.uncertainty.intervals import Interval
from analysis.wording import significant

_WIDE = 5.0


def interval_text(interval: Interval, *, decimals: int | None = None, unit: str = "") -> str:
    """An estimate with its interval, all to the decimals that the interval's width supports.

    Where the interval of a positive quantity spans its magnitude, or has no end, each number has two
    digits of its own.

    Examples
    --------
    >>> interval_text(Interval(0.3581, 0.3342, 0.3733))
    '0.358 (0.334 to 0.373)'
    >>> interval_text(Interval(8.12, 5.24, 360_623_115.0))
    '8.1 (5.2 to 3.6e+08)'
    >>> interval_text(Interval(4.41, 0.0, math.inf))
    '4.4 (0 to inf)'
    >>> interval_text(Interval(3.14, None, None), unit=" %")
    '3.14 % (no interval)'
    """
    if interval.low is None or interval.high is None:
        shown = significant(interval.estimate) if decimals is None else f"{interval.estimate:.{decimals}f}"
        return f"{shown}{unit} (no interval)"
    ends = (interval.estimate, interval.low, interval.high)
    width = interval.high - interval.low
    wide = interval.low > 0 and width > _WIDE * interval.estimate
    if decimals is None and (wide or not math.isfinite(width)):
        estimate, low, high = (significant(end, 2) for end in ends)
        return f"{estimate}{unit} ({low} to {high})"
    places = decimals if decimals is not None else _decimals(width)
    estimate, low, high = (f"{round(end, places) + 0.0:,.{places}f}" for end in ends)
    return f"{estimate}{unit} ({low} to {high})"


def _decimals(width: float) -> int:
    """Decimals that show two digits of an interval's width."""
    return min(8, max(0, 1 - math.floor(math.log10(width)))) if width > 0 else 3
