"""Private training across sites: averaged against pooled, at one batch and one noise multiplier."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from scipy.stats import t

from analysis.privacy.surface import PrivateSurface
from analysis.tables.arms import CENTRALISED, LOCAL
from analysis.tables.records import Runs
from analysis.uncertainty.intervals import LEVEL

POOLED = "Pooled"
# Runs whose ledger takes no noise of 0 have one of this at most: less than McKenna et al. fitted
# (arXiv 2501.18914, appendix E, leaves out S below 5e-7), or the next that a round number gives.
_SILENT = 2e-6
_POINT = ("parameters", "steps", "sites", "step_patients", "sigma")


def site_losses(runs: Runs, loss: str, surfaces: Sequence[PrivateSurface] = ()) -> pl.DataFrame:
    """Loss by the number of sites, of pooled training and of arms that average their sites' steps.

    Pooled and averaged are compared at equal size, steps, sites, patients a step of all sites together and
    noise multiplier. Where each site draws the same share of its patients one noise multiplier is one
    epsilon, pooled or not; a site's S is then as many times the pooled one as there are sites, and that of
    the mean over sites the root of as many times. One site that trains alone stands for both.

    Intervals are Student's of the log loss, with the spread between seeds pooled over an arm's points.

    Parameters
    ----------
    runs : Runs
    loss : {"loss_per_token", "loss_per_event"}
    surfaces : sequence of PrivateSurface
        The law of pooled runs is read at the noise of the mean, where it knows both noises.

    Returns
    -------
    polars.DataFrame
        A row a point and arm; empty where no averaged run has pooled ones beside it: ``arm`` (``POOLED``
        for the pooled one), ``parameters``, ``steps``, ``sites``, ``step_patients``, ``sigma`` (0 for one
        that no ledger would take for privacy), ``ratio`` (S of a replica), ``averaged_ratio`` (of the mean
        over replicas), ``seeds``, ``loss`` and ``percent`` above pooled, each with ``_low`` and ``_high``,
        and ``by_law``: loss of pooled training at the noise of the mean.
    """
    rows = _chosen(runs, loss)
    averaged = rows.filter(pl.col("averaged"), pl.col("sites") > 1)
    pooled = rows.filter(~pl.col("averaged"))
    paired = averaged.join(pooled.select(_POINT).unique(), on=_POINT, how="semi")
    if paired.is_empty():
        return pl.DataFrame()
    alike = [name for name in _POINT if name not in ("sites", "step_patients")]
    beside = pooled.join(paired.select(alike).unique(), on=alike, how="semi")
    beside = beside.filter((pl.col("sites") == 1) | _at(paired, beside))
    together = pl.concat([beside, averaged.join(paired.select(alike).unique(), on=alike, how="semi")])
    spreads = {arm: _spread(part) for (arm,), part in together.group_by("arm")}
    cells = {
        (str(key[0]), *key[1:]): part
        for key, part in together.group_by(["arm", *_POINT], maintain_order=True)
    }
    law = next((one for one in surfaces if one.name == CENTRALISED and one.reads_batch), None)
    found = []
    for key, part in cells.items():
        base = cells.get((POOLED, *key[1:])) if key[0] != POOLED else None
        found.append(_row(key, part, base, spreads, law))
    numbers = [f"{name}{end}" for name in ("loss", "percent") for end in ("", "_low", "_high")]
    table = pl.DataFrame(found, schema_overrides=dict.fromkeys([*numbers, "by_law"], pl.Float64))
    return table.sort("parameters", "steps", "sigma", "sites", pl.col("arm") != POOLED, "arm")


def _chosen(runs: Runs, loss: str) -> pl.DataFrame:
    """Private runs with their sigma, and the arm that they are of; one site alone is pooled with itself."""
    silent = pl.col("noise_batch_ratio") < _SILENT
    private = runs.table.filter(pl.col("noise") != "", (pl.col("base_arm") != LOCAL) | (pl.col("sites") == 1))
    averaged = ~pl.col("base_arm").is_in([CENTRALISED, LOCAL])
    several = private.filter(averaged)["local_steps"].n_unique() > 1
    spelt = pl.format("{}, H = {}", "base_arm", "local_steps") if several else pl.col("base_arm")
    return private.with_columns(
        averaged=averaged,
        arm=pl.when(averaged).then(spelt).otherwise(pl.lit(POOLED)),
        sigma=pl.when(silent).then(0.0).otherwise(pl.col("noise_multiplier")),
        logged=pl.col(loss).log(),
    )


def _at(paired: pl.DataFrame, pooled: pl.DataFrame) -> pl.Series:
    return (
        pooled.select(pl.struct(_POINT))
        .to_series()
        .is_in(paired.select(pl.struct(_POINT)).to_series().implode())
    )


def _spread(rows: pl.DataFrame) -> tuple[float, int]:
    """Standard deviation of the log loss between the seeds of a point, and its degrees of freedom."""
    off = rows.select(pl.col("logged") - pl.col("logged").mean().over(_POINT)).to_series().to_numpy()
    degrees = len(rows) - rows.select(_POINT).n_unique()
    return (float(np.sqrt((off**2).sum() / degrees)), degrees) if degrees else (math.nan, 0)


def _row(
    key: tuple[Any, ...],
    part: pl.DataFrame,
    base: pl.DataFrame | None,
    spreads: Mapping[Any, tuple[float, int]],
    law: PrivateSurface | None,
) -> dict[str, Any]:
    point, first = dict(zip(_POINT, key[1:], strict=True)), part.row(0, named=True)
    mean, error = _mean(part), _error(part, spreads[key[0]])
    above: dict[str, float | None] = dict.fromkeys(("percent", "percent_low", "percent_high"))
    if base is not None:
        above = _ends("percent", mean - _mean(base), [error, _error(base, spreads[POOLED])], percent=True)
    at = {
        "N": point["parameters"],
        "T": point["steps"],
        "P": point["step_patients"],
        "S": first["averaged_ratio"],
    }
    return {
        "arm": key[0],
        **point,
        "ratio": first["noise_batch_ratio"],
        "averaged_ratio": first["averaged_ratio"],
        "seeds": len(part),
        **_ends("loss", mean, [error], percent=False),
        **above,
        "by_law": law.loss(at).estimate if law else None,
    }


def _mean(rows: pl.DataFrame) -> float:
    return float(rows["logged"].to_numpy().mean())


def _error(rows: pl.DataFrame, spread: tuple[float, int]) -> tuple[float, int]:
    """Standard error of a point's mean log loss, and its degrees of freedom."""
    return spread[0] / math.sqrt(len(rows)), spread[1]


def _ends(
    name: str, middle: float, errors: Sequence[tuple[float, int]], *, percent: bool
) -> dict[str, float | None]:
    """A log and its interval as a loss, or as per cent above another; Welch's degrees of freedom."""

    def shown(log: float) -> float:
        return 100 * math.expm1(log) if percent else math.exp(log)

    if min(degrees for _, degrees in errors) == 0:
        return {name: shown(middle), f"{name}_low": None, f"{name}_high": None}
    variance = sum(error**2 for error, _ in errors)
    spare = sum(error**4 / degrees for error, degrees in errors)
    reach = float(t.ppf(0.5 + LEVEL / 2, variance**2 / spare)) * math.sqrt(variance) if variance else 0.0
    return {
        name: shown(middle),
        f"{name}_low": shown(middle - reach),
        f"{name}_high": shown(middle + reach),
    }
