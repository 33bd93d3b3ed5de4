"""The runs of one arm at all noise-batch ratios, and the private laws fitted to them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from analysis.arrays import Array
from analysis.fits.fit import Fit, fit_sample
from analysis.laws.law import ScalingLaw
from analysis.laws.private import Private, PrivatePower
from analysis.laws.private_draws import PrivateDraws
from analysis.laws.private_sigmoid import PrivateSigmoid
from analysis.privacy.holdout import held_out_values, held_parameters
from analysis.solvers.objective import LOG_SQUARES
from analysis.tables.noise_axis import on_the_surface
from analysis.tables.records import Runs
from analysis.tables.sample import take_sample
from analysis.uncertainty.intervals import Interval
from wardlaw.errors import RecordError

LAWS: tuple[type[ScalingLaw], ...] = (PrivateDraws, Private, PrivateSigmoid, PrivatePower)
_COLUMNS = {
    "N": "parameters",
    "D": "tokens",
    "T": "steps",
    "S": "noise_batch_ratio",
    "P": "batch_patients",
}
# A share of the loss that is as good as none.
_UNFELT = 1e-3


@dataclass(frozen=True)
class PrivateSurface:
    """Runs that differ in size, steps, patients a step, seed and the noise-batch ratio S only.

    Attributes
    ----------
    name : str
    rows : polars.DataFrame
        Rows of ``Runs.table`` with the letters N, D, T, S, P and L.
    plain : polars.DataFrame
        Likewise, runs of the same arm without privacy, where those at S = 0 clip without noise.
    fits : tuple of Fit
        The private laws that the runs determine.
    refused : dict of str to str
        By law, why it could not be fitted.
    holdouts : polars.DataFrame
        As ``held_out_values`` gives.
    """

    name: str
    rows: pl.DataFrame
    plain: pl.DataFrame
    fits: tuple[Fit, ...]
    refused: Mapping[str, str]
    holdouts: pl.DataFrame

    @property
    def fit(self) -> Fit | None:
        """The law of both noises where several batches determine it, else that of S alone; or None."""
        fitted = {type(fit.law): fit for fit in self.fits}
        return fitted.get(PrivateDraws, fitted.get(Private))

    @property
    def refusal(self) -> str:
        """Why no law speaks for the surface."""
        return self.refused[Private.name]

    @property
    def reads_batch(self) -> bool:
        """Whether the law tells one number of patients a step from another."""
        return self.fit is not None and "P" in self.fit.law.inputs

    @property
    def ratios(self) -> list[float]:
        """Ratios S that were run, ascending; 0 is without noise."""
        return sorted(self.rows["S"].unique())

    @property
    def batches(self) -> list[int]:
        """Patients a step of private runs, ascending."""
        return sorted(self.rows["batch_patients"].drop_nulls().unique())

    @property
    def private(self) -> pl.DataFrame:
        """Rows with noise."""
        return self.rows.filter(pl.col("S") > 0)

    @property
    def one_budget(self) -> bool:
        """Whether all runs made the same number of steps, so that no term of the budget was fitted."""
        return self.rows["steps"].n_unique() == 1

    @property
    def quiet_ratio(self) -> float | None:
        """Ratio of the runs that noise is compared with; None where all runs feel theirs.

        It is 0, or one that costs less than 0.1 % by the law, such as a ledger wants where it takes no 0.
        """
        least = self.ratios[0]
        if least == 0 or self.fit is None:
            return 0.0 if least == 0 else None
        law = self.fit.law
        of_least = self.rows.filter(pl.col("S") == least).drop_nulls(law.inputs)
        points = of_least.select(law.inputs).to_numpy().astype(np.float64)
        silent = points.copy()
        silent[:, law.inputs.index("S")] = 0.0
        costs = law.predict(points) / law.predict(silent) - 1
        return least if costs.max() < _UNFELT else None

    def loss(self, at: Mapping[str, float]) -> Interval:
        """Loss by the law at letters N, D, T, S and P."""
        return self._interval([at], lambda losses: losses[:, 0])

    def percent_above_quiet(self, at: Mapping[str, float]) -> Interval | None:
        """Loss by the law above that without noise at the same other letters, in per cent.

        None where no run was without noise: what there is at S = 0 would be extrapolated.
        """
        if self.quiet_ratio is None:
            return None
        silent = {**at, "S": 0.0}
        return self._interval([at, silent], lambda losses: 100 * (losses[:, 0] / losses[:, 1] - 1))

    def band(self, letters: Mapping[str, float | Array]) -> tuple[Array, Array, Array]:
        """Loss (m,) by the law with the ends of its interval, at letters that broadcast to (m,).

        Raises
        ------
        RecordError
            If no law was fitted.
        """
        fit = self._fitted
        columns = np.broadcast_arrays(*(np.atleast_1d(letters[name]) for name in fit.law.inputs))
        return fit.band(np.stack(columns, axis=1).astype(np.float64))

    @property
    def _fitted(self) -> Fit:
        if self.fit is None:
            raise RecordError(f"no private law of {self.name}: {self.refusal}")
        return self.fit

    def _interval(self, at: list[Mapping[str, float]], figure: Callable[[Array], Array]) -> Interval:
        fit = self._fitted
        points = np.array([[letters[name] for name in fit.law.inputs] for letters in at], dtype=np.float64)
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
    letters = {letter: pl.col(column) for letter, column in _COLUMNS.items()}
    lettered = runs.table.filter(pl.col("surface").is_in(_with_noise(runs))).with_columns(
        **letters, L=pl.col(loss)
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
    fits: list[Fit] = []
    refused: dict[str, str] = {}
    holdouts: list[pl.DataFrame] = []
    for law in LAWS:
        known = rows.drop_nulls(law.inputs)
        try:
            fitted = fit_sample(
                law(LOG_SQUARES),
                take_sample(known, law.inputs, law.target, name),
                columns=tuple(_COLUMNS[letter] for letter in law.inputs),
                replicates=replicates,
                seed=seed,
                fixed=held_parameters(law, known),
            )
        except RecordError as error:
            refused[law.name] = error.what
            continue
        fits.append(fitted)
        holdouts += [held_out_values(law, known, letter) for letter in ("N", "P")]
    found = [table for table in holdouts if not table.is_empty()]
    return PrivateSurface(
        name, rows, plain, tuple(fits), refused, pl.concat(found) if found else pl.DataFrame()
    )
