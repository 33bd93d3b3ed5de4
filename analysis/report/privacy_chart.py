"""Loss against the noise-batch ratio, against size at each ratio, and against patients a step."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from analysis.arrays import Array
from analysis.charts.chart import Axis, Chart, Facet
from analysis.charts.series import Intervals, Line, Series, bounded_band, floats
from analysis.charts.styles import ordered_styles
from analysis.privacy.surface import PrivateSurface
from analysis.wording import count

_ALONG_NOISE = {"D": "tokens", "T": "steps", "P": "batch_patients"}
_CURVE_POINTS = 60
# The place of S = 0 beside the smallest ratio: a step of the ratios, but a clear one.
_LEAST_STEP = 3.0
_WIDE_FACETS = 2


def chart_by_noise(surfaces: Sequence[PrivateSurface], costs: pl.DataFrame, up: Mapping[str, Axis]) -> Chart:
    """Loss against S at each size, S = 0 at the left, with the fitted law; a facet a surface and batch.

    Parameters
    ----------
    surfaces : sequence of PrivateSurface
    costs : polars.DataFrame
        As ``noise_costs`` gives, of all of them.
    up : dict of str to Axis
        Of the loss, by surface.
    """
    felt = {ratio for surface in surfaces for ratio in surface.ratios if ratio > (surface.quiet_ratio or 0)}
    ratios = np.array(sorted(felt))
    zero, parts = place_of_zero(ratios), _batches(surfaces, costs)
    # Narrow facets have room for every second number.
    labelled = ratios[::-2] if len(parts) > _WIDE_FACETS else ratios
    across = Axis("Noise-batch ratio S", "log", values=tuple(labelled), zero=zero)
    facets = []
    for surface, title, of_batch in parts:
        series: list[Series] = []
        for size in sorted(of_batch["parameters"].unique()):
            rows = of_batch.filter(pl.col("parameters") == size)
            # A ratio that stands for no noise stands where no noise does.
            x, y = np.maximum(floats(rows, "ratio"), zero), floats(rows, "loss")
            series += _law_by_noise(surface, size, rows)
            notes = tuple(f"D = {count(tokens)}, {seeds} seeds" for tokens, seeds in _told(rows))
            series.append(
                Intervals(count(size), x, y, floats(rows, "loss_low"), floats(rows, "loss_high"), notes=notes)
            )
        facets.append(Facet(across, up[surface.name], tuple(series), title))
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
    """Loss against size at each S, with the fitted law; facets and parameters as in the first chart.

    ``across`` is the label of the parameters. Batches that were run at one size are left out.
    """
    parts = _batches(surfaces, costs)
    facets = []
    for surface, title, of_batch in [part for part in parts if part[2]["parameters"].n_unique() > 1] or parts:
        series: list[Series] = []
        for (ratio,), rows in of_batch.sort("ratio", "parameters").group_by("ratio", maintain_order=True):
            series += _law_by_size(surface, float(str(ratio)), rows)
            series.append(_measured(float(str(ratio)), rows, "parameters"))
        sizes = tuple(sorted({float(size) for size in surface.rows["N"]}))
        size_axis = Axis(across, "log", counts=True, values=sizes)
        facets.append(Facet(size_axis, up[surface.name], tuple(series), title))
    levels = sorted({ratio for surface in surfaces for ratio in surface.ratios})
    return Chart(
        "Loss against parameters, by noise-batch ratio",
        tuple(facets),
        ordered_styles([level(ratio) for ratio in levels]),
        share_x=False,
        share_y=len(set(up.values())) == 1,
        row_height=3.7,
    )


def chart_by_batch(surfaces: Sequence[PrivateSurface], costs: pl.DataFrame, up: Mapping[str, Axis]) -> Chart:
    """Loss against patients a step at each S, with the fitted law; a facet a surface and size of several.

    Parameters as in the first chart.
    """
    facets = []
    for surface in surfaces:
        drawn = costs.filter(
            pl.col("surface") == surface.name, "shared", pl.col("batch_patients").is_not_null()
        )
        for (size,), rows in drawn.sort("parameters", "ratio", "batch_patients").group_by(
            "parameters", maintain_order=True
        ):
            if rows["batch_patients"].n_unique() < 2:
                continue
            series: list[Series] = []
            for (ratio,), part in rows.group_by("ratio", maintain_order=True):
                series += _law_by_batch(surface, float(str(ratio)), part)
                series.append(_measured(float(str(ratio)), part, "batch_patients"))
            across = Axis("Patients a step", "log", counts=True, values=tuple(map(float, surface.batches)))
            title = f"{count(float(str(size)))} parameters"
            named = f"{surface.name}, {title}" if len(surfaces) > 1 else title
            facets.append(Facet(across, up[surface.name], tuple(series), named))
    levels = sorted({ratio for surface in surfaces for ratio in surface.ratios})
    return Chart(
        "Loss against patients a step, by noise-batch ratio",
        tuple(facets),
        ordered_styles([level(ratio) for ratio in levels]),
        share_y=len(set(up.values())) == 1,
        row_height=3.7,
    )


def _measured(ratio: float, rows: pl.DataFrame, across: str) -> Intervals:
    """Losses at one ratio with their intervals, over a column."""
    x, y, low, high = (floats(rows, name) for name in (across, "loss", "loss_low", "loss_high"))
    return Intervals(level(ratio), x, y, low, high)


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


def _batches(
    surfaces: Sequence[PrivateSurface], costs: pl.DataFrame
) -> list[tuple[PrivateSurface, str, pl.DataFrame]]:
    """Costs of each surface and batch, with a title; runs without privacy stand beside every batch."""
    found = []
    for surface in surfaces:
        rows = costs.filter(pl.col("surface") == surface.name, "longest")
        for batch in surface.batches:
            several = [surface.name] * (len(surfaces) > 1) + [f"{batch:,} a step"] * (
                len(surface.batches) > 1
            )
            of_batch = rows.filter(pl.col("batch_patients").is_null() | (pl.col("batch_patients") == batch))
            if of_batch["batch_patients"].drop_nulls().len():
                found.append((surface, ", ".join(several), of_batch))
    return found


def _told(rows: pl.DataFrame) -> list[tuple[int, int]]:
    told: list[tuple[int, int]] = rows.select("tokens", "seeds").rows()
    return told


def _law_by_noise(surface: PrivateSurface, size: int, rows: pl.DataFrame) -> list[Series]:
    noisy = rows.filter(pl.col("ratio") > (surface.quiet_ratio or 0))
    if surface.fit is None or noisy["ratio"].n_unique() < 2:
        return []
    ratios = floats(noisy, "ratio")
    along = np.geomspace(ratios.min(), ratios.max(), _CURVE_POINTS)
    # A curve is of one budget: the most that its runs share.
    fixed = {letter: float(np.median(floats(noisy, name))) for letter, name in _ALONG_NOISE.items()}
    loss, low, high = surface.band({**fixed, "N": float(size), "S": along})
    return [*bounded_band(count(size), along, low, high), Line(count(size), along, loss)]


def _law_by_size(surface: PrivateSurface, ratio: float, rows: pl.DataFrame) -> list[Series]:
    if surface.fit is None or rows["parameters"].n_unique() < 2:
        return []
    sizes = floats(rows, "parameters")
    along = np.geomspace(sizes.min(), sizes.max(), _CURVE_POINTS)
    between = {
        letter: np.exp(np.interp(np.log(along), np.log(sizes), np.log(floats(rows, name))))
        for letter, name in _ALONG_NOISE.items()
    }
    loss, low, high = surface.band({**between, "N": along, "S": ratio})
    return [*bounded_band(level(ratio), along, low, high), Line(level(ratio), along, loss)]


def _law_by_batch(surface: PrivateSurface, ratio: float, rows: pl.DataFrame) -> list[Series]:
    if not surface.reads_batch or len(rows) < 2:
        return []
    drawn = floats(rows, "batch_patients")
    along = np.geomspace(drawn.min(), drawn.max(), _CURVE_POINTS)
    steps, size = float(np.median(floats(rows, "steps"))), float(rows["parameters"][0])
    loss, low, high = surface.band({"N": size, "T": steps, "P": along, "S": ratio})
    return [*bounded_band(level(ratio), along, low, high), Line(level(ratio), along, loss)]
