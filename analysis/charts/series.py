"""What a chart can show of a group: points, lines, bands, intervals."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from analysis.arrays import Array


def floats(table: pl.DataFrame, column: str) -> Array:
    """A column as (n,) of float64, NaN where there is no value."""
    return table[column].cast(pl.Float64).to_numpy()


@dataclass(frozen=True, eq=False)
class Points:
    """A mark a value.

    Attributes
    ----------
    group : str
        Whose colour and marker they have.
    x, y : ndarray (n,)
    notes : tuple of str
        What else there is to say of each, say its seed; empty for nothing.
    """

    group: str
    x: Array
    y: Array
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Line:
    """A line through points (n,) in their order; dotted where it is a guess."""

    group: str
    x: Array
    y: Array
    dotted: bool = False


@dataclass(frozen=True, eq=False)
class Band:
    """The area between two lines over the same x (n,)."""

    group: str
    x: Array
    low: Array
    high: Array


@dataclass(frozen=True, eq=False)
class Intervals:
    """A mark a value, with the ends of its interval.

    Attributes
    ----------
    group : str
    x, y : ndarray (n,)
    low, high : ndarray (n,)
        Ends along ``along``; NaN where nothing supports an interval.
    along : {"x", "y"}
    joined : bool
        Whether a line joins the marks.
    notes : tuple of str
    aside : float
        Factor on x where the marks stand: a few per cent keep intervals at one x from covering each other.
    """

    group: str
    x: Array
    y: Array
    low: Array
    high: Array
    along: Literal["x", "y"] = "y"
    joined: bool = False
    notes: tuple[str, ...] = ()
    aside: float = 1.0

    @property
    def places(self) -> Array:
        """Where the marks stand along x (n,)."""
        return self.aside * self.x

    @property
    def whiskers(self) -> Array:
        """Lengths (2, n) from the mark to the low and to the high end; zero where that is unknown."""
        middle = self.y if self.along == "y" else self.x
        lengths = np.stack([middle - self.low, self.high - middle])
        return np.where(np.isfinite(lengths), lengths, 0.0).clip(min=0.0)


Series = Points | Line | Band | Intervals


def bounded_band(group: str, x: Array, low: Array, high: Array) -> list[Series]:
    """The band over the x (n,) where both ends are finite; none where that is nowhere."""
    bounded = np.isfinite(low) & np.isfinite(high)
    return [Band(group, x[bounded], low[bounded], high[bounded])] if bounded.any() else []
