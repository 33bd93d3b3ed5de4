"""Loss against the noise-batch ratio, and against size at each ratio."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from analysis.arrays import Array
from analysis.charts.chart import Axis, Chart, Facet
from analysis.charts.series import Intervals, Line, Series, bounded_band, floats
from analysis.charts.styles import ordered_styles
from analysis.privacy.surface import PrivateSurface
from analysis.wording import count

_CURVE_POINTS = 60
# The place of S = 0 beside the smallest ratio: a step of the ratios, but a clear one.
_LEAST_STEP = 3.0


def chart_by_noise(surfaces: Sequence[PrivateSurface], costs: pl.DataFrame, up: Mapping[str, Axis]) -> Chart:
    """Loss against S at each size, S = 0 at the left, with the fitted law; a facet a surface.

    Parameters
    ----------
    surfaces : sequence of PrivateSurface
    costs : polars.DataFrame
        As ``noise_costs`` gives, of all of them.
    up : dict of str to Axis
        Of the loss, by surface.
    """
    ratios = np.array(sorted({ratio for surface in surfaces for ratio in surface.ratios if ratio > 0}))
    zero = place_of_zero(ratios)
    across = Axis("Noise-batch ratio S", "log", values=tuple(ratios), zero=zero)
    facets = []
    for surface in surfaces:
        series: list[Series] = []
        for size in sorted(surface.rows["N"].unique()):
            rows = costs.filter(pl.col("surface") == surface.name, pl.col("parameters") == size)
            x, y = np.maximum(floats(rows, "ratio"), zero), floats(rows, "loss")
            series += _law_by_noise(surface, size, rows)
            notes = tuple(f"D = {count(tokens)}, {seeds} seeds" for tokens, seeds in _told(rows))
            series.append(
                Intervals(count(size), x, y, floats(rows, "loss_low"), floats(rows, "loss_high"), notes=notes)
            )
        facets.append(
            Facet(across, up[surface.name], tuple(series), surface.name if len(surfaces) > 1 else "")
        )
    sizes = sorted({size for surface in surfaces for size in surface.rows["N"].unique()})
    return Chart(
        "Loss against the noise-batch ratio, by size",
        tuple(facets),
        ordered_styles([count(size) for size in sizes]),
        share_y=len(set(up.values())) == 1,
        row_height=3.7,
        unit="parameters",
    )


def chart_by_size(
    surfaces: Sequence[PrivateSurface], costs: pl.DataFrame, up: Mapping[str, Axis], across: str
) -> Chart:
    """Loss against size at each S, with the fitted law; a facet a surface, parameters as in the first chart.

    ``across`` is the label of the parameters.
    """
    facets = []
    for surface in surfaces:
        of_surface = costs.filter(pl.col("surface") == surface.name)
        series: list[Series] = []
        for (ratio,), rows in of_surface.sort("ratio", "parameters").group_by("ratio", maintain_order=True):
            series += _law_by_size(surface, float(str(ratio)), rows)
            x, y, low, high = (floats(rows, name) for name in ("parameters", "loss", "loss_low", "loss_high"))
            series.append(Intervals(level(float(str(ratio))), x, y, low, high))
        sizes = tuple(sorted({float(size) for size in surface.rows["N"]}))
        size_axis = Axis(across, "log", counts=True, values=sizes)
        facets.append(
            Facet(size_axis, up[surface.name], tuple(series), surface.name if len(surfaces) > 1 else "")
        )
    levels = sorted({ratio for surface in surfaces for ratio in surface.ratios})
    return Chart(
        "Loss against parameters, by noise-batch ratio",
        tuple(facets),
        ordered_styles([level(ratio) for ratio in levels]),
        share_x=False,
        share_y=len(set(up.values())) == 1,
        row_height=3.7,
    )


def level(ratio: float) -> str:
    """Name of a ratio.

    Examples
    --------
    >>> level(0.0125)
    'S = 0.0125'
    """
    return f"S = {ratio:.4g}"


def place_of_zero(ratios: Array) -> float:
    """Where S = 0 stands on a log axis of positive ratios, ascending."""
    steps = ratios[1:] / ratios[:-1]
    step = max(_LEAST_STEP, float(steps.min())) if len(steps) else _LEAST_STEP
    return float(ratios[0] / step)


def _told(rows: pl.DataFrame) -> list[tuple[int, int]]:
    told: list[tuple[int, int]] = rows.select("tokens", "seeds").rows()
    return told


def _law_by_noise(surface: PrivateSurface, size: int, rows: pl.DataFrame) -> list[Series]:
    noisy = rows.filter(pl.col("ratio") > 0)
    if surface.fit is None or noisy["ratio"].n_unique() < 2:
        return []
    ratios = floats(noisy, "ratio")
    # A curve is of one number of tokens: the most that its runs share.
    tokens = float(np.median(floats(noisy, "tokens")))
    along = np.geomspace(ratios.min(), ratios.max(), _CURVE_POINTS)
    points = np.column_stack([np.full_like(along, size), np.full_like(along, tokens), along])
    loss, low, high = surface.fit.band(points)
    return [*bounded_band(count(size), along, low, high), Line(count(size), along, loss)]


def _law_by_size(surface: PrivateSurface, ratio: float, rows: pl.DataFrame) -> list[Series]:
    if surface.fit is None or len(rows) < 2:
        return []
    sizes = floats(rows, "parameters")
    along = np.geomspace(sizes.min(), sizes.max(), _CURVE_POINTS)
    tokens = np.exp(np.interp(np.log(along), np.log(sizes), np.log(floats(rows, "tokens"))))
    points = np.column_stack([along, tokens, np.full_like(along, ratio)])
    loss, low, high = surface.fit.band(points)
    return [*bounded_band(level(ratio), along, low, high), Line(level(ratio), along, loss)]
