"""Axes of Matplotlib, labelled in plain words (40 K, 1 M)."""

import math
from itertools import pairwise

from matplotlib.axis import Axis as DrawnAxis
from matplotlib.ticker import (
    FixedFormatter,
    FixedLocator,
    FuncFormatter,
    LogFormatterSciNotation,
    LogLocator,
    MaxNLocator,
    NullLocator,
)

from analysis.charts.chart import Axis
from analysis.wording import count

MOST_LABELS = 8
_DECADES_FOR_POWERS_ALONE = 2.0
_INCHES_A_LABEL = 0.5


def linear_counts(drawn: DrawnAxis) -> None:
    """Label a linear axis with a few counts."""
    drawn.set_major_locator(MaxNLocator(3))
    drawn.set_major_formatter(FuncFormatter(lambda value, _: count(value)))


def log_ticks(drawn: DrawnAxis, axis: Axis, low: float, high: float, inches: float) -> None:
    """Label a log axis from ``low`` to ``high``: at its own values where they are few and apart.

    Parameters
    ----------
    drawn : matplotlib.axis.Axis
    axis : Axis
    low, high : float
    inches : float
        Its length.
    """
    if axis.zero:
        placed = axis.ticks_with_zero
        drawn.set_major_locator(FixedLocator(list(placed)))
        drawn.set_major_formatter(FixedFormatter(list(placed.values())))
        drawn.set_minor_locator(NullLocator())
        return
    decades = math.log10(high / low)
    values = sorted(set(axis.values))
    apart = all(
        math.log10(after / before) / decades * inches > _INCHES_A_LABEL for before, after in pairwise(values)
    )
    if axis.counts and 0 < len(values) <= MOST_LABELS and apart:
        drawn.set_major_locator(FixedLocator(values))
    else:
        between = (1.0,) if decades > _DECADES_FOR_POWERS_ALONE else (1.0, 3.0)
        drawn.set_major_locator(LogLocator(subs=between, numticks=max(3, int(inches / _INCHES_A_LABEL))))
    if axis.counts:
        drawn.set_major_formatter(FuncFormatter(lambda value, _: count(value)))
    else:
        drawn.set_major_formatter(LogFormatterSciNotation(labelOnlyBase=False))
    drawn.set_minor_locator(NullLocator())
