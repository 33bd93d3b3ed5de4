"""Each hospital's own model on the hospital's own patients: what federation has to beat there.

The local topology's loss is over all sites' patients, where a model of one hospital is far from home. A
hospital that would use its own model only on its own patients has another alternative to weigh.
"""

from dataclasses import dataclass

import polars as pl

from analysis.tables.arms import LOCAL
from analysis.tables.records import LOSSES, LOSSES_AT_HOME


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


def compare_at_home(chosen: pl.DataFrame, unit: str, local: str = LOCAL) -> tuple[AtHome, ...]:
    """Compare arms with own models at home: both sides are summed over the same patients.

    Parameters
    ----------
    chosen : polars.DataFrame
        Rows of ``runs.table`` at one size and token budget, of arms that may be compared.
    unit : {"token", "event"}
    local : str
        The arm of sites that train alone.

    Returns
    -------
    tuple of AtHome
        Of all arms but the local one, in their order; empty without local runs.
    """
    at_home = LOSSES_AT_HOME[unit]
    alone = chosen.filter(pl.col("arm") == local, pl.col(at_home).is_not_null())
    own = dict(alone.select("seed", at_home).iter_rows())
    paired = chosen.filter(pl.col("arm") != local, pl.col("seed").is_in(list(own)))
    percents: dict[str, list[float]] = {}
    for arm, seed, loss in paired.select("arm", "seed", LOSSES[unit]).iter_rows():
        percents.setdefault(arm, []).append(100 * (loss / own[seed] - 1))
    return tuple(
        AtHome(arm, sum(found) / len(found), min(found), max(found), len(found))
        for arm, found in percents.items()
    )
