"""What noise and epsilon cost, in sentences computed from the numbers."""

import math
from collections.abc import Mapping
from typing import Any

import polars as pl

from analysis.privacy.findings import PrivacyFindings
from analysis.privacy.statements import epsilon_words
from analysis.privacy.surface import PrivateSurface
from analysis.uncertainty.interval_text import interval_text
from analysis.uncertainty.intervals import Interval
from analysis.wording import count

# An interval whose lower end is below this share of the estimate says little more than that there is some.
_HARDLY_TOLD = 0.2
CLIPPED, WITHOUT = "clipping without noise", "training without privacy"


def privacy_sentences(found: PrivacyFindings) -> list[str]:
    """The main findings about noise, then about epsilon; one sentence each."""
    return [
        text
        for surface in found.surfaces
        for text in (
            *_costs(found, surface),
            *_larger_models(surface),
            *_draws(surface),
            *_epsilons(found, surface),
        )
    ]


def privacy_cautions(found: PrivacyFindings) -> list[str]:
    """What these private runs cannot support."""
    return [text for surface in found.surfaces for text in _doubts(surface)]


def baseline(surface: PrivateSurface) -> str:
    """What the surface's runs at S = 0 are; empty where there are none."""
    if surface.quiet_ratio is None:
        return ""
    if surface.quiet_ratio:
        return f"S = {surface.quiet_ratio:.4g}"
    quiet = surface.rows.filter(pl.col("S") == 0)
    return WITHOUT if (quiet["noise"] == "").all() else CLIPPED


def percent_text(row: Mapping[str, Any], name: str = "percent") -> str:
    """A figure of a row with its interval; empty where there is none."""
    if row[name] is None:
        return ""
    return interval_text(interval_of(row, name), unit=" %")


def interval_of(row: Mapping[str, Any], name: str) -> Interval:
    """A figure of a row with its ends."""
    return Interval(row[name], row[f"{name}_low"], row[f"{name}_high"])


def _costs(found: PrivacyFindings, surface: PrivateSurface) -> list[str]:
    """At the smallest and largest size, what the smallest and largest noise costs."""
    known = found.costs.filter(
        pl.col("surface") == surface.name, pl.col("ratio") > 0, pl.col("percent").is_not_null(), "longest"
    )
    if known.is_empty():
        return []
    # Of several batches the one with most points, and of several such the largest.
    batch = known.group_by("batch_patients").len().sort("len", "batch_patients")["batch_patients"][-1]
    rows = known.filter(pl.col("batch_patients") == batch)
    sizes, ratios = (sorted(rows[name].unique()) for name in ("parameters", "ratio"))
    told = []
    for ratio in dict.fromkeys((ratios[0], ratios[-1])):
        at = rows.filter(pl.col("ratio") == ratio, pl.col("parameters").is_in([sizes[0], sizes[-1]]))
        costs = [
            f"{percent_text(row)} at {count(row['parameters'])} parameters"
            for row in at.sort("parameters").iter_rows(named=True)
        ]
        told.append(f"S = {ratio:.4g} adds {' and '.join(costs)}")
    drawn = f" at {batch:,} patients a step" * (len(surface.batches) > 1)
    return [f"{surface.name}, loss above {baseline(surface)} of as many steps{drawn}: {'; '.join(told)}."]


def _larger_models(surface: PrivateSurface) -> list[str]:
    if surface.fit is None:
        return []
    gamma = surface.fit.intervals["gamma2"]
    shown = f"gamma2 = {interval_text(gamma)} of what noise adds, ~ 1 / N^gamma2"
    if not gamma.excludes_zero:
        return [f"{surface.name}: whether noise adds more nats to larger models cannot be told, {shown}."]
    more = "more" if gamma.estimate < 0 else "fewer"
    return [f"{surface.name}: noise adds {more} nats to larger models, {shown}."]


def _draws(surface: PrivateSurface) -> list[str]:
    """What the draw of a step's patients is worth in S, at the fewest and the most that were run."""
    if surface.fit is None or not surface.reads_batch:
        return []
    draw = surface.fit.intervals["c"]
    ends = [
        f"S = {interval_text(_scaled(draw, 1 / math.sqrt(drawn)))} at {drawn:,} patients a step"
        for drawn in (surface.batches[0], surface.batches[-1])
    ]
    return [
        f"{surface.name}: who is drawn is noise like {' and '.join(ends)}; it is there without privacy, too, "
        "so that at one S a larger batch has the lower loss and pays the larger price."
    ]


def _scaled(interval: Interval, factor: float) -> Interval:
    low, high = (None if end is None else factor * end for end in (interval.low, interval.high))
    return Interval(factor * interval.estimate, low, high)


def _epsilons(found: PrivacyFindings, surface: PrivateSurface) -> list[str]:
    return [*_stated(found, surface), *_priced(found, surface)]


def _stated(found: PrivacyFindings, surface: PrivateSurface) -> list[str]:
    if found.stated.is_empty():
        return []
    rows = found.stated.filter(pl.col("surface") == surface.name, pl.col("epsilon").is_not_null())
    most = rows.filter(pl.col("steps") == pl.col("steps").max()).sort("ratio")
    return [
        f"{surface.name}: S = {row['ratio']:.4g} cost epsilon = {epsilon_words(row['epsilon'])} at "
        f"{holds_for(row)}."
        for row in (most.head(1).to_dicts() + most.tail(1).to_dicts())[: most["ratio"].n_unique()]
    ]


def _priced(found: PrivacyFindings, surface: PrivateSurface) -> list[str]:
    """The largest size under each epsilon that the runs reach, with the fewest patients that reach one."""
    if found.prices.is_empty():
        return []
    rows = found.prices.filter(
        pl.col("surface") == surface.name,
        pl.col("percent").is_not_null(),
        pl.col("parameters") == pl.col("parameters").max(),
    )
    if rows.is_empty():
        return []
    fewest = rows.filter(pl.col("patients") == pl.col("patients").min())
    row = fewest.row(0, named=True)
    costs = [f"epsilon = {one['epsilon']:g} {percent_text(one)}" for one in fewest.iter_rows(named=True)]
    return [
        f"{surface.name}, by the fitted law at {count(row['parameters'])} parameters and {holds_for(row)}: "
        f"loss above that without noise at {', '.join(costs)}."
    ]


def holds_for(row: Mapping[str, Any]) -> str:
    """What an epsilon holds for: ``delta 1e-06 for 2,000 patients a site, 32 a step, 200 steps``."""
    patients = "an unknown number of" if row["patients"] is None else f"{row['patients']:,}"
    delta = "an unknown delta" if row["delta"] is None else f"delta {row['delta']:.3g}"
    return f"{delta} for {patients} patients a site, {row['batch_patients']:,} a step, {row['steps']:,} steps"


def _doubts(surface: PrivateSurface) -> list[str]:
    private, found = surface.private, _doubts_of_batch(surface)
    if len(numbers := sorted(surface.rows["sites"].unique())) > 1:
        found.append(
            f"{surface.name}: runs of {', '.join(map(str, numbers))} sites are taken together, which "
            "differ in their patients, too."
        )
    for setting, name in (("learning_rate", "learning rate"), ("clip_norm", "clipping norm")):
        tuned = private.group_by("N").agg(pl.col(setting).n_unique())[setting]
        if max(tuned) > 1:
            found.append(
                f"{surface.name}: the {name} differs between ratios S, so the cost of noise is that after "
                "tuning it."
            )
    if surface.one_budget:
        fewer = ", and what fewer tokens cost private runs counts as noise" * _fewer_tokens(surface)
        found.append(
            f"{surface.name}: all runs made the same number of steps, so the private law has no term of "
            f"tokens{fewer}."
        )
    if not baseline(surface):
        found.append(f"{surface.name}: no run is without noise, so what noise costs cannot be told.")
    return found + [
        f"{surface.name}, {fit.law.name} law: {warning}." for fit in surface.fits for warning in fit.warnings
    ]


def _doubts_of_batch(surface: PrivateSurface) -> list[str]:
    if surface.fit is None:
        return []
    drawn = ", ".join(f"{batch:,}" for batch in surface.batches)
    if not surface.reads_batch:
        return [
            f"{surface.name}: the noise of who is drawn cannot be told from runs of {drawn} patients a step, "
            "and costs of noise hold there: at one S a larger batch pays more."
        ]
    draw = surface.fit.intervals["c"]
    if draw.low is None or draw.low > _HARDLY_TOLD * draw.estimate:
        return []
    return [f"{surface.name}: runs of {drawn} patients a step hardly tell the noise of who is drawn."]


def _fewer_tokens(surface: PrivateSurface) -> bool:
    return baseline(surface) == WITHOUT
