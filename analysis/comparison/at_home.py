"""Each hospital's own model on the hospital's own patients: what federation has to beat there.

The local topology's loss is over all sites' patients, where a model of one hospital is far from home. A
hospital that would use its own model only on its own patients has another alternative to weigh.
"""

from dataclasses import dataclass

import polars as pl

from analysis.tables.arms import LOCAL
from analysis.tables.records import LOSSES, Runs, site_losses
from wardlaw.records import RunRecord


@dataclass(frozen=True)
class AtHome:
    """An arm's loss above that of the hospitals' own models at home, in per cent.

    Attributes
    ----------
    arm : str
    percent, low, high : float
        Mean, smallest and largest over seeds that both have.
    seeds : int
    """

    arm: str
    percent: float
    low: float
    high: float
    seeds: int


def compare_at_home(runs: Runs, chosen: pl.DataFrame, unit: str) -> tuple[AtHome, ...]:
    """Compare arms with own models at home: both sides are summed over the same patients.

    Parameters
    ----------
    runs : Runs
    chosen : polars.DataFrame
        Rows of ``runs.table`` at one size and token budget.
    unit : {"token", "event"}

    Returns
    -------
    tuple of AtHome
        Of all arms but the local one, in their order; empty without local runs.
    """
    own = {
        seed: loss
        for run, seed in chosen.filter(pl.col("arm") == LOCAL).select("run", "seed").iter_rows()
        if (loss := _loss_at_home(runs.records[run], unit)) is not None
    }
    paired = chosen.filter(pl.col("arm") != LOCAL, pl.col("seed").is_in(list(own)))
    percents: dict[str, list[float]] = {}
    for arm, seed, loss in paired.select("arm", "seed", LOSSES[unit]).iter_rows():
        percents.setdefault(arm, []).append(100 * (loss / own[seed] - 1))
    return tuple(
        AtHome(arm, sum(found) / len(found), min(found), max(found), len(found))
        for arm, found in percents.items()
    )


def _loss_at_home(record: RunRecord, unit: str) -> float | None:
    """Pooled loss with every patient scored by the own site's model; None if a site has no model."""
    losses = site_losses(record)
    own = losses.filter(pl.col("replica") == pl.col("site"))
    if own["site"].n_unique() < losses["site"].n_unique():
        return None
    return float(own.select(pl.col("nats").sum() / pl.col(f"{unit}s").sum()).item())
