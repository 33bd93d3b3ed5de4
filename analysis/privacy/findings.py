"""Everything that a report says about privacy and loss, computed once."""

from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from analysis.privacy.cost import noise_costs
from analysis.privacy.price import EPSILONS, price_table
from analysis.privacy.statements import stated_epsilons, stated_setting
from analysis.privacy.surface import PrivateSurface, private_surfaces
from analysis.tables.records import Runs

# Numbers of patients at which epsilons are priced: the runs' own, and consortia that much larger.
_TIMES = (1, 10, 100)


@dataclass(frozen=True)
class PrivacyFindings:
    """What private runs show.

    Attributes
    ----------
    surfaces : tuple of PrivateSurface
    costs : polars.DataFrame
        ``noise_costs`` of all of them.
    stated : polars.DataFrame
        ``stated_epsilons``.
    prices : polars.DataFrame
        ``price_table`` of all of them, where statements tell n, at n, 10 n and 100 n.
    """

    surfaces: tuple[PrivateSurface, ...]
    costs: pl.DataFrame
    stated: pl.DataFrame
    prices: pl.DataFrame

    @property
    def holdouts(self) -> pl.DataFrame:
        """Errors of the laws on sizes that they were not fitted to."""
        return _together([surface.holdouts for surface in self.surfaces])

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "surfaces": [
                {
                    "surface": surface.name,
                    "ratios": surface.ratios,
                    "one_budget": surface.one_budget,
                    "fits": [fit.to_json() for fit in surface.fits],
                    "refused": dict(surface.refused),
                }
                for surface in self.surfaces
            ],
            "costs": self.costs.to_dicts(),
            "held_out_sizes": self.holdouts.to_dicts(),
            "epsilons": self.stated.to_dicts(),
            "prices": self.prices.to_dicts(),
        }


def analyse_privacy(runs: Runs, loss: str, *, replicates: int, seed: int) -> PrivacyFindings:
    """Fit the private laws, and say what noise and epsilon cost; all empty where no arm has several S.

    Parameters
    ----------
    runs : Runs
    loss : {"loss_per_token", "loss_per_event"}
    replicates, seed : int
        Of the bootstrap.
    """
    surfaces = private_surfaces(runs, loss, replicates=replicates, seed=seed)
    stated = stated_epsilons(runs)
    priced = [
        price_table(surface, replace(setting, patients=times * setting.patients), EPSILONS)
        for surface in surfaces
        if (setting := stated_setting(stated, surface.name)) is not None
        for times in _TIMES
    ]
    return PrivacyFindings(
        surfaces,
        _together([noise_costs(surface, replicates=replicates, seed=seed) for surface in surfaces]),
        stated,
        _together(priced),
    )


def _together(tables: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(tables) if tables else pl.DataFrame()
