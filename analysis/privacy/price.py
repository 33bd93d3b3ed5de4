"""What an epsilon would cost in loss at each size: the accountant's noise, read off the fitted law."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import polars as pl

from analysis.privacy.statements import Setting
from analysis.privacy.surface import PrivateSurface
from analysis.uncertainty.intervals import Interval
from wardlaw.errors import ConfigError

EPSILONS = (1.0, 2.0, 4.0, 8.0)


def price_table(surface: PrivateSurface, setting: Setting, epsilons: Sequence[float]) -> pl.DataFrame:
    """Loss of each size under each epsilon, where the ratios that were run reach.

    A site of n patients that draws B of them in each of T steps needs the noise sigma that the accountant
    says; S is then sigma / B, and the private law gives the loss at the tokens of runs with T steps.
    Nothing is said of an S above those that were run, nor below them where no run was without noise.

    Parameters
    ----------
    surface : PrivateSurface
    setting : Setting
    epsilons : sequence of float

    Returns
    -------
    polars.DataFrame
        A row an epsilon and size: ``surface``, ``patients``, ``batch_patients``, ``steps``, ``delta``,
        ``epsilon``, ``noise_multiplier``, ``ratio``, ``parameters``, ``tokens``, ``loss`` and
        ``percent`` above the loss without noise with ``_low`` and ``_high``, and ``reason`` where
        there is no loss.
    """
    sizes = sorted(surface.private["N"].unique())
    rows = [
        {"surface": surface.name, **vars(setting), "epsilon": epsilon, **found}
        for epsilon in epsilons
        for size in sizes
        for found in [_price(surface, setting, epsilon, size)]
    ]
    numbers = [f"{name}{end}" for name in ("loss", "percent") for end in ("", "_low", "_high")]
    overrides = dict.fromkeys([*numbers, "noise_multiplier", "ratio"], pl.Float64)
    return pl.DataFrame(rows, schema_overrides=overrides | {"tokens": pl.Int64, "reason": pl.String})


def _price(surface: PrivateSurface, setting: Setting, epsilon: float, size: int) -> dict[str, Any]:
    nothing = {"noise_multiplier": None, "ratio": None, "parameters": size, "tokens": None}
    try:
        sigma = _noise(setting, epsilon)
    except ConfigError as error:
        return nothing | _loss(None, None, error.what)
    ratio = sigma / setting.batch_patients
    known = nothing | {"noise_multiplier": sigma, "ratio": ratio}
    if surface.fit is None:
        return known | _loss(None, None, next(iter(surface.refused.values())))
    least, most = surface.ratios[0], surface.ratios[-1]
    if not least <= ratio <= most:
        side = f"above {most:.3g}, the largest" if ratio > most else f"below {least:.3g}, the smallest"
        return known | _loss(None, None, f"S = {ratio:.3g} is {side} that was run")
    tokens = _tokens(surface, setting)
    if tokens is None:
        return known | _loss(
            None, None, f"no private run has {setting.steps:,} steps of {setting.batch_patients}"
        )
    losses = surface.loss(size, tokens, ratio), surface.percent_above_quiet(size, tokens, ratio)
    return known | {"tokens": tokens} | _loss(*losses, None)


@cache
def _noise(setting: Setting, epsilon: float) -> float:
    """Sigma, to about 1 in 1000 of epsilon.

    Raises
    ------
    ConfigError
        If a step would draw more patients than there are, or epsilon is out of range.
    """
    # Accountants load when they are asked, and not with the room.
    from wardlaw.privacy.calibration import plan_for_epsilon

    if setting.batch_patients > setting.patients:
        raise ConfigError(f"a step draws {setting.batch_patients} patients, and there are {setting.patients}")
    plan = plan_for_epsilon(setting.patients, setting.batch_patients, setting.steps, setting.delta, epsilon)
    return plan.noise_multiplier


def _tokens(surface: PrivateSurface, setting: Setting) -> int | None:
    """Tokens of the private runs that make so many steps of so many patients."""
    alike = surface.private.filter(
        pl.col("steps") == setting.steps, pl.col("batch_patients") == setting.batch_patients
    )
    return None if alike.is_empty() else int(np.median(alike["tokens"].to_numpy()))


def _loss(loss: Interval | None, percent: Interval | None, reason: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, interval in (("loss", loss), ("percent", percent)):
        ends = (interval.estimate, interval.low, interval.high) if interval else (None, None, None)
        found |= dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))
    return found | {"reason": reason}
