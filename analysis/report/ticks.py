"""Axes of counts, labelled in plain words (40 K, 1 M)."""

import math
from itertools import pairwise

import polars as pl
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from analysis.wording import count

_MOST_LABELS = 8
_INCHES_A_LABEL = 0.5


def linear_counts(axes: Axes) -> None:
    """Label a linear x axis with counts."""
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))


def log_counts(axes: Axes, values: pl.Series) -> None:
    """Make the x axis logarithmic, labelled at the values themselves where they are few and apart."""
    axes.set_xscale("log")
    distinct = sorted(values.unique())
    if len(distinct) == 1:
        axes.set_xlim(distinct[0] / 2, distinct[0] * 2)
    figure = axes.get_figure(root=True)
    inches = figure.get_figwidth() * axes.get_position().width if figure else 0.0
    span = math.log(distinct[-1] / distinct[0])
    apart = all(
        math.log(after / before) / span * inches > _INCHES_A_LABEL for before, after in pairwise(distinct)
    )
    few = len(distinct) <= _MOST_LABELS
    axes.xaxis.set_major_locator(FixedLocator(distinct) if few and apart else LogLocator(subs=(1.0, 3.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))
    axes.xaxis.set_minor_locator(NullLocator())
