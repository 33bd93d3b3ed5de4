"""Everything that a report says about privacy and loss, computed once."""

from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from analysis.privacy.cost import noise_costs
from analysis.privacy.law_comparison import compare_laws
from analysis.privacy.price import EPSILONS, price_table
from analysis.privacy.sites import site_losses
from analysis.privacy.statements import Setting, stated_epsilons, stated_json, stated_setting
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
    laws : polars.DataFrame
        ``compare_laws`` of all of them.
    sites : polars.DataFrame
        ``site_losses``.
    stated : polars.DataFrame
        ``stated_epsilons``.
    prices : polars.DataFrame
        ``price_table`` of all of them, where statements tell n, at n, 10 n and 100 n.
    """

    surfaces: tuple[PrivateSurface, ...]
    costs: pl.DataFrame
    laws: pl.DataFrame
    sites: pl.DataFrame
    stated: pl.DataFrame
    prices: pl.DataFrame

    @property
    def holdouts(self) -> pl.DataFrame:
        """Errors of the laws on sizes and batches that they were not fitted to."""
        return _together([surface.holdouts for surface in self.surfaces])

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "surfaces": [
                {
                    "surface": surface.name,
                    "ratios": surface.ratios,
                    "batches": surface.batches,
                    "one_budget": surface.one_budget,
                    "fits": [fit.to_json() for fit in surface.fits],
                    "refused": dict(surface.refused),
                }
                for surface in self.surfaces
            ],
            "costs": self.costs.to_dicts(),
            "laws": self.laws.to_dicts(),
            "held_out": self.holdouts.to_dicts(),
            "sites": self.sites.to_dicts(),
            "epsilons": stated_json(self.stated),
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
        price_table(surface, _at_best_batch(surface, setting, times), EPSILONS)
        for surface in surfaces
        if (setting := stated_setting(stated, surface.name)) is not None
        for times in _TIMES
    ]
    return PrivacyFindings(
        surfaces,
        _together([noise_costs(surface, replicates=replicates, seed=seed) for surface in surfaces]),
        _together([compare_laws(surface) for surface in surfaces]),
        site_losses(runs, loss, surfaces) if surfaces else pl.DataFrame(),
        stated,
        _together(priced),
    )


def _at_best_batch(surface: PrivateSurface, setting: Setting, times: int) -> Setting:
    """For so many times the patients; a law of both noises is read at the largest batch that was run."""
    patients = times * setting.patients
    batches = [batch for batch in surface.batches if batch <= patients] if surface.reads_batch else []
    return replace(setting, patients=patients, batch_patients=max(batches, default=setting.batch_patients))


def _together(tables: list[pl.DataFrame]) -> pl.DataFrame:
    found = [table for table in tables if not table.is_empty()]
    return pl.concat(found) if found else pl.DataFrame()
