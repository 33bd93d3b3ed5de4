"""What an epsilon would cost in loss at each size: the accountant's noise, read off the fitted law."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import polars as pl

from analysis.privacy.reach import Place, place_of
from analysis.privacy.statements import Setting
from analysis.privacy.surface import PrivateSurface
from analysis.uncertainty.intervals import Interval
from wardlaw.errors import ConfigError

EPSILONS = (1.0, 2.0, 4.0, 8.0)
MORE_THAN = "more than"


def price_table(
    surface: PrivateSurface, setting: Setting, epsilons: Sequence[float], *, extrapolate: bool = False
) -> pl.DataFrame:
    """Loss of each size under each epsilon, as far as the runs reach.

    A site of n patients that draws B of them in each of T steps needs the noise sigma that the accountant
    says; S is then sigma / B. A law of both noises gives the loss at S and B, against that at no noise and
    the same B. A law of S alone knows no B: its cost is that at the runs' batch, whatever batch is meant,
    and ``batch_told`` says whether the two are one.

    Above the largest S that was run only a bound is known, the cost there. Nothing is said below the
    smallest S where no run was without noise, nor of a B or T beyond those that were run, unless
    ``extrapolate``: then ``extrapolated`` says how far.

    Parameters
    ----------
    surface : PrivateSurface
    setting : Setting
    epsilons : sequence of float
    extrapolate : bool
        Whether prices beyond the batches and steps that were run are wanted.

    Returns
    -------
    polars.DataFrame
        A row an epsilon and size: ``surface``, ``law``, ``patients``, ``batch_patients``, ``steps``,
        ``delta``, ``epsilon``, ``noise_multiplier``, ``ratio``, ``parameters``, ``tokens``, ``loss`` and
        ``percent`` above the loss without noise with ``_low`` and ``_high``, ``bound`` (``MORE_THAN``
        where these are those of the largest S that was run, else empty), ``batch_told``,
        ``law_batch`` (patients a step that loss and percent are at), ``extrapolated`` (empty where it is
        not), and ``reason`` where there is no loss.
    """
    sizes = sorted(surface.private["N"].unique())
    law = surface.fit.law.name if surface.fit else ""
    place = place_of(surface, setting, extrapolate=extrapolate) if surface.fit else surface.refusal
    rows = [
        {"surface": surface.name, "law": law, **vars(setting), "epsilon": epsilon}
        | _price(surface, setting, epsilon, size, place)
        for epsilon in epsilons
        for size in sizes
    ]
    numbers = [f"{name}{end}" for name in ("loss", "percent") for end in ("", "_low", "_high")]
    overrides: dict[str, Any] = dict.fromkeys([*numbers, "noise_multiplier", "ratio"], pl.Float64)
    overrides |= {"tokens": pl.Int64, "law_batch": pl.Int64, "batch_told": pl.Boolean, "reason": pl.String}
    return pl.DataFrame(rows, schema_overrides=overrides)


def _price(
    surface: PrivateSurface, setting: Setting, epsilon: float, size: int, place: Place | str
) -> dict[str, Any]:
    known: dict[str, Any] = {
        **dict.fromkeys(("noise_multiplier", "ratio", "tokens", "batch_told", "law_batch")),
        "parameters": size,
        "bound": "",
        "extrapolated": "",
    }
    try:
        sigma = _noise(setting, epsilon)
    except ConfigError as error:
        return known | _loss(None, None, error.what)
    ratio = sigma / setting.batch_patients
    known |= {"noise_multiplier": sigma, "ratio": ratio}
    if isinstance(place, str):
        return known | _loss(None, None, place)
    least, most = surface.ratios[0], surface.ratios[-1]
    if ratio < least and surface.quiet_ratio is None:
        reason = f"S = {ratio:.3g} is below {least:.3g}, the smallest that was run"
        return known | _loss(None, None, reason)
    at = {"N": size, "S": min(ratio, most), **place.letters}
    known |= {
        "tokens": round(place.letters["D"]),
        "bound": MORE_THAN if ratio > most else "",
        "batch_told": place.batch_told,
        "law_batch": round(place.letters["P"]),
        "extrapolated": place.extrapolated,
    }
    return known | _loss(surface.loss(at), surface.percent_above_quiet(at), None)


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


def _loss(loss: Interval | None, percent: Interval | None, reason: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, interval in (("loss", loss), ("percent", percent)):
        ends = (interval.estimate, interval.low, interval.high) if interval else (None, None, None)
        found |= dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))
    return found | {"reason": reason}
