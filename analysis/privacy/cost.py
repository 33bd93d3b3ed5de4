"""What noise costs at each size: private runs against runs of the same steps without privacy."""

from typing import Any

import polars as pl

from analysis.arrays import Array
from analysis.comparison.gaps import SizeMeans, size_means
from analysis.privacy.surface import PrivateSurface
from analysis.tables.sample import take_sample
from analysis.uncertainty.bootstrap import resample
from analysis.uncertainty.intervals import Interval, percentile_interval


def noise_costs(surface: PrivateSurface, *, replicates: int, seed: int) -> pl.DataFrame:
    """Loss at each size and ratio, and by how much it lies above the loss without noise.

    ``percent`` is measured, against the surface's runs at S = 0 of the same size and number of steps. Where
    those are without privacy their tokens may be others, since private steps draw patients.
    ``fitted_percent`` is the law's, on the same tokens. Intervals are over seeds.

    Parameters
    ----------
    surface : PrivateSurface
    replicates, seed : int
        Of the bootstrap.

    Returns
    -------
    polars.DataFrame
        A row a size and ratio, runs without privacy first: ``surface``, ``noise`` (empty without
        privacy), ``parameters``, ``ratio``, ``steps``, ``tokens``, ``seeds``, ``loss``, ``percent`` and
        ``fitted_percent``, each with ``_low`` and ``_high``, and ``quiet_tokens``.
    """
    most = pl.col("steps").max().over("N", "noise")
    noisy = surface.private.filter(pl.col("steps") == most)
    at_these = pl.col("steps").is_in(noisy["steps"].unique().to_list())
    quiet, plain = (rows.filter(at_these) for rows in (surface.rows.filter(pl.col("S") == 0), surface.plain))
    found: list[dict[str, Any]] = []
    for part in (plain, quiet, *noisy.sort("S").partition_by("noise", maintain_order=True)):
        for here in part.sort("steps").partition_by("steps", maintain_order=True):
            base = quiet.filter(pl.col("steps") == here["steps"][0])
            means = _means(here, replicates, seed)
            of_quiet = means if part is quiet else None if base.is_empty() else _means(base, replicates, seed)
            found += [_row(surface, here, means, place, of_quiet) for place in range(len(means.points))]
    numbers = [
        f"{name}{end}" for name in ("loss", "percent", "fitted_percent") for end in ("", "_low", "_high")
    ]
    return pl.DataFrame(
        found, schema_overrides=dict.fromkeys(numbers, pl.Float64) | {"quiet_tokens": pl.Int64}
    )


def _means(rows: pl.DataFrame, replicates: int, seed: int) -> SizeMeans:
    return size_means(rows, "L", resample(take_sample(rows, ("N",), "L"), replicates, seed))


def _row(
    surface: PrivateSurface, rows: pl.DataFrame, means: SizeMeans, place: int, of_quiet: SizeMeans | None
) -> dict[str, Any]:
    size, tokens = means.points[place]
    ratio = float(rows["S"][0])
    loss = _interval(means, float(means.mean[place]), means.at((size, tokens)))
    percent, quiet_tokens = (None, None) if means is of_quiet else _above(means, place, of_quiet)
    fitted = surface.percent_above_quiet(size, tokens, ratio) if ratio and surface.fit else None
    return {
        "surface": surface.name,
        "noise": rows["noise"][0],
        "parameters": size,
        "ratio": ratio,
        "steps": rows["steps"][0],
        "tokens": tokens,
        "seeds": means.seeds[place],
        **_named("loss", loss),
        **_named("percent", percent),
        **_named("fitted_percent", fitted),
        "quiet_tokens": quiet_tokens,
    }


def _above(means: SizeMeans, place: int, of_quiet: SizeMeans | None) -> tuple[Interval | None, int | None]:
    """Per cent above the runs without noise of the same size, and the tokens of these."""
    point = means.points[place]
    there = [other for other in of_quiet.points if other[0] == point[0]] if of_quiet else []
    if of_quiet is None or not there:
        return None, None
    mine, theirs = means.mean[place], of_quiet.mean[of_quiet.points.index(there[0])]
    estimate = float(100 * (mine / theirs - 1))
    drawn, drawn_quiet = means.at(point), of_quiet.at(there[0])
    if drawn is None or drawn_quiet is None:
        return Interval(estimate, None, None), there[0][1]
    degrees = min(means.degrees, of_quiet.degrees)
    return percentile_interval(estimate, 100 * (drawn / drawn_quiet - 1), degrees), there[0][1]


def _interval(means: SizeMeans, estimate: float, drawn: Array | None) -> Interval:
    if drawn is None:
        return Interval(estimate, None, None)
    return percentile_interval(estimate, drawn, means.degrees)


def _named(name: str, interval: Interval | None) -> dict[str, float | None]:
    if interval is None:
        return dict.fromkeys((name, f"{name}_low", f"{name}_high"))
    return {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}
