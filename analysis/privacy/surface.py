"""The runs of one arm at all noise-batch ratios, and the laws L(N, D, S) fitted to them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from analysis.arrays import Array
from analysis.fits.fit import Fit, fit_sample
from analysis.laws.private import Private, PrivatePower
from analysis.privacy.holdout import held_out_sizes
from analysis.solvers.objective import LOG_SQUARES
from analysis.tables.noise_axis import on_the_surface
from analysis.tables.records import Runs
from analysis.tables.sample import take_sample
from analysis.uncertainty.intervals import Interval
from wardlaw.errors import RecordError

LAWS = (Private, PrivatePower)
# What a law is without its term of tokens: of no consequence where all runs made the same steps.
_ONE_BUDGET = {"B": 0.0, "beta": 1.0}


@dataclass(frozen=True)
class PrivateSurface:
    """Runs that differ in size, tokens, seed and the noise-batch ratio S only.

    Attributes
    ----------
    name : str
    rows : polars.DataFrame
        Rows of ``Runs.table`` with the letters N, D, S and L.
    plain : polars.DataFrame
        Likewise, runs of the same arm without privacy, where those at S = 0 clip without noise.
    fits : tuple of Fit
        The private law and the plain power of S, where the runs determine them.
    refused : dict of str to str
        By law, why it could not be fitted.
    holdouts : polars.DataFrame
        As ``held_out_sizes`` gives.
    """

    name: str
    rows: pl.DataFrame
    plain: pl.DataFrame
    fits: tuple[Fit, ...]
    refused: Mapping[str, str]
    holdouts: pl.DataFrame

    @property
    def fit(self) -> Fit | None:
        """The private law; None where the runs do not determine it."""
        return next((fit for fit in self.fits if isinstance(fit.law, Private)), None)

    @property
    def ratios(self) -> list[float]:
        """Ratios S that were run, ascending; 0 is without noise."""
        return sorted(self.rows["S"].unique())

    @property
    def private(self) -> pl.DataFrame:
        """Rows with noise."""
        return self.rows.filter(pl.col("S") > 0)

    @property
    def one_budget(self) -> bool:
        """Whether all runs made the same number of steps, so that no term of tokens was fitted."""
        return self.rows["steps"].n_unique() == 1

    def loss(self, size: float, tokens: float, ratio: float) -> Interval:
        """Loss by the private law."""
        return self._interval(np.array([[size, tokens, ratio]]), lambda losses: losses[:, 0])

    def percent_above_quiet(self, size: float, tokens: float, ratio: float) -> Interval | None:
        """Loss by the private law above that without noise on the same tokens, in per cent.

        None where no run was without noise: what there is at S = 0 would be extrapolated.
        """
        if self.ratios[0] > 0:
            return None
        points = np.array([[size, tokens, ratio], [size, tokens, 0.0]])
        return self._interval(points, lambda losses: 100 * (losses[:, 0] / losses[:, 1] - 1))

    def _interval(self, points: Array, figure: Callable[[Array], Array]) -> Interval:
        fit = self.fit
        if fit is None:
            raise RecordError(f"no private law of {self.name}: {self.refused[Private.name]}")
        losses = fit.law.predict(points, fit.solutions)
        estimate, *drawn = figure(np.atleast_2d(losses))
        if fit.resamples is None or not drawn:
            return Interval(float(estimate), None, None)
        return fit.resamples.interval(float(estimate), np.array(drawn))


def private_surfaces(runs: Runs, loss: str, *, replicates: int, seed: int) -> tuple[PrivateSurface, ...]:
    """Fit the private laws to every arm that has runs at several noise-batch ratios.

    Parameters
    ----------
    runs : Runs
    loss : {"loss_per_token", "loss_per_event"}
    replicates, seed : int
        Of the bootstrap.
    """
    lettered = runs.table.filter(pl.col("surface").is_in(_with_noise(runs))).with_columns(
        N=pl.col("parameters"), D=pl.col("tokens"), S=pl.col("noise_batch_ratio"), L=pl.col(loss)
    )
    parts = lettered.partition_by("surface", maintain_order=True)
    return tuple(_surface(part, replicates, seed) for part in parts)


def _with_noise(runs: Runs) -> list[str]:
    """Surfaces of several ratios, some above 0."""
    ratios = runs.table.filter(on_the_surface()).group_by("surface").agg(pl.col("noise_batch_ratio").unique())
    return [surface for surface, found in ratios.rows() if len(found) > 1]


def _surface(of_arm: pl.DataFrame, replicates: int, seed: int) -> PrivateSurface:
    on_it = on_the_surface()
    rows, plain = of_arm.filter(on_it), of_arm.filter(~on_it)
    name = str(rows["surface"][0])
    fixed = _ONE_BUDGET if rows["steps"].n_unique() == 1 else None
    fits: list[Fit] = []
    refused: dict[str, str] = {}
    for law in LAWS:
        sample = take_sample(rows, law.inputs, law.target, name)
        columns = ("parameters", "tokens", "noise_batch_ratio")
        try:
            fitted = fit_sample(
                law(LOG_SQUARES), sample, columns=columns, replicates=replicates, seed=seed, fixed=fixed
            )
        except RecordError as error:
            refused[law.name] = error.what
            continue
        fits.append(fitted)
    holdouts = [held_out_sizes(type(fit.law), rows, fixed) for fit in fits]
    return PrivateSurface(
        name, rows, plain, tuple(fits), refused, pl.concat(holdouts) if holdouts else pl.DataFrame()
    )
