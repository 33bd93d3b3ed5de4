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
    """Loss at each batch, size and ratio, and by how much it lies above the loss without noise.

    ``percent`` is measured, against the surface's quiet runs (``PrivateSurface.quiet_ratio``) of the same
    size, number of steps and patients a step. Where those are without privacy their tokens may be others,
    since private steps draw patients. ``fitted_percent`` is the law's, on the same budget. Intervals are
    over seeds.

    Parameters
    ----------
    surface : PrivateSurface
    replicates, seed : int
        Of the bootstrap.

    Returns
    -------
    polars.DataFrame
        A row a batch, size and ratio, runs without privacy first: ``surface``, ``noise`` (empty without
        privacy), ``batch_patients`` (null without privacy), ``parameters``, ``ratio``, ``steps``,
        ``tokens``, ``seeds``, ``loss``, ``percent`` and ``fitted_percent``, each with ``_low`` and
        ``_high``, ``quiet_tokens``, ``longest`` (the most steps of that batch, size and ratio) and
        ``shared`` (as many steps as most batches were run with, where there are several); other rows are
        left out.
    """
    parts = _parts(surface)
    means = [_means(part, replicates, seed) for part in parts]
    found: list[dict[str, Any]] = []
    for part, of_part in zip(parts, means, strict=True):
        quiet = _quiet(surface, part, parts)
        of_quiet = None if quiet is None else means[quiet]
        found += [_row(surface, part, of_part, place, of_quiet) for place in range(len(of_part.points))]
    numbers = [
        f"{name}{end}" for name in ("loss", "percent", "fitted_percent") for end in ("", "_low", "_high")
    ]
    kinds: dict[str, Any] = dict.fromkeys(numbers, pl.Float64)
    kinds |= dict.fromkeys(("quiet_tokens", "batch_patients"), pl.Int64)
    longest = pl.col("steps") == pl.col("steps").max().over("parameters", "noise", "batch_patients")
    marked = pl.DataFrame(found, schema_overrides=kinds).with_columns(
        longest=longest, shared=pl.col("steps") == _shared_steps(surface)
    )
    return marked.filter(pl.col("longest") | pl.col("shared"))


def _shared_steps(surface: PrivateSurface) -> int:
    """Number of steps that most batches were run with, the largest of several; 0 of one batch."""
    if len(surface.batches) < 2:
        return 0
    by_steps = surface.private.group_by("steps").agg(pl.col("batch_patients").n_unique())
    return int(by_steps.sort("batch_patients", "steps")["steps"][-1])


def _parts(surface: PrivateSurface) -> list[pl.DataFrame]:
    """Runs with noise, and those without of as many steps; a part a ratio, batch and number of steps."""
    noisy = surface.private
    silent = pl.concat(
        [
            surface.plain.with_columns(beside=pl.lit(value=True)),
            surface.rows.filter(pl.col("S") == 0).with_columns(beside=pl.lit(value=False)),
        ]
    ).filter(pl.col("steps").is_in(noisy["steps"].unique().implode()))
    together = pl.concat([silent, noisy.with_columns(beside=pl.lit(value=False))])
    keys = ("beside", "S", "batch_patients", "steps")
    return together.sort(pl.col("noise") != "", *keys).partition_by(keys, maintain_order=True)


def _quiet(surface: PrivateSurface, part: pl.DataFrame, parts: list[pl.DataFrame]) -> int | None:
    """Place of the quiet runs of as many steps and patients a step; None if there is not one such part.

    Runs without privacy draw no patients, and stand beside those of any batch.
    """
    batch = part["batch_patients"][0]
    alike = [
        place
        for place, other in enumerate(parts)
        if other["S"][0] == surface.quiet_ratio
        and other["steps"][0] == part["steps"][0]
        and not other["beside"][0]
        and (batch is None or other["batch_patients"][0] in (batch, None))
    ]
    return alike[0] if len(alike) == 1 else None


def _means(rows: pl.DataFrame, replicates: int, seed: int) -> SizeMeans:
    return size_means(rows, "L", resample(take_sample(rows, ("N",), "L"), replicates, seed))


def _row(
    surface: PrivateSurface, rows: pl.DataFrame, means: SizeMeans, place: int, of_quiet: SizeMeans | None
) -> dict[str, Any]:
    size, tokens = means.points[place]
    first = rows.row(0, named=True)
    at = {letter: first[letter] for letter in "TSP"} | {"N": size, "D": tokens}
    loss = _interval(means, float(means.mean[place]), means.at((size, tokens)))
    percent, quiet_tokens = (None, None) if means is of_quiet else _above(means, place, of_quiet)
    fitted = surface.percent_above_quiet(at) if at["S"] and surface.fit else None
    return {
        "surface": surface.name,
        "noise": first["noise"],
        "batch_patients": first["batch_patients"],
        "parameters": size,
        "ratio": at["S"],
        "steps": first["steps"],
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
