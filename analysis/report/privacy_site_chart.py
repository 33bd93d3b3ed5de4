"""Loss against the number of sites, averaged and pooled."""

import polars as pl

from analysis.charts.chart import Axis, Chart, Facet
from analysis.charts.series import Intervals, floats
from analysis.charts.styles import group_styles
from analysis.wording import count, significant


def chart_by_sites(sites: pl.DataFrame, up: str) -> Chart | None:
    """Loss by sites of each arm and noise multiplier, a facet a size and number of steps.

    Parameters
    ----------
    sites : polars.DataFrame
        As ``site_losses`` gives.
    up : str
        Label of the loss.

    Returns
    -------
    Chart or None
        None where all runs have one number of sites.
    """
    numbers = tuple(map(float, sorted(sites["sites"].unique())))
    if len(numbers) < 2:
        return None
    across, several = Axis("Sites", "log", counts=True, values=numbers), sites["steps"].n_unique() > 1
    facets = [
        Facet(
            across,
            Axis(up),
            tuple(
                _marks(_name(*key), rows)
                for key, rows in part.sort("sites").group_by("arm", "sigma", maintain_order=True)
            ),
            f"{count(float(str(size)))} parameters" + f", {steps:,} steps" * several,
        )
        for (size, steps), part in sites.group_by("parameters", "steps", maintain_order=True)
    ]
    names = sites.select("sigma", "arm").unique(maintain_order=True).sort("sigma", maintain_order=True)
    return Chart(
        "Loss against the number of sites, averaged and pooled",
        tuple(facets),
        group_styles([_name(arm, sigma) for sigma, arm in names.rows()]),
        row_height=3.7,
    )


def _name(arm: object, sigma: object) -> str:
    number = float(str(sigma))
    return f"{arm}, sigma = {significant(number)}" if number else f"{arm}, no noise"


def _marks(name: str, rows: pl.DataFrame) -> Intervals:
    x, y, low, high = (floats(rows, column) for column in ("sites", "loss", "loss_low", "loss_high"))
    return Intervals(name, x, y, low, high, joined=True)
