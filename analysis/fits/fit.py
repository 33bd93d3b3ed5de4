"""A law fitted to one arm, with its intervals, and what may be wrong with it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy.stats import f as fisher

from analysis.laws.chinchilla import Chinchilla
from analysis.laws.law import ScalingLaw
from analysis.laws.power_law import PowerLaw, PurePowerLaw
from analysis.solvers.damped_newton import Array
from analysis.uncertainty.bootstrap import Interval, Resamples, SeedNoise, resample_runs, seed_noise
from wardlaw.errors import RecordError

LAWS: dict[str, type[ScalingLaw]] = {law.name: law for law in (PurePowerLaw, PowerLaw, Chinchilla)}
# How a law's input is counted, by its letter.
COLUMNS = {"N": "parameters", "D": "tokens"}
_MISFIT_LEVEL = 0.05


@dataclass(frozen=True)
class Fit:
    """One arm's fit.

    Attributes
    ----------
    arm, loss : str
    columns : tuple of str
        Column of each of the law's inputs.
    law : ScalingLaw
        Fitted.
    resamples : Resamples or None
    theta : ndarray (R, P) or None
        Solver's solutions of the replicates.
    intervals : dict of str to Interval
        Of each parameter.
    noise : SeedNoise
    misfit : float or None
        p-value of the lack-of-fit test: sizes' means off the law against seed noise.
    points : int
        Distinct inputs.
    warnings : tuple of str
    """

    arm: str
    loss: str
    columns: tuple[str, ...]
    law: ScalingLaw
    resamples: Resamples | None
    theta: Array | None
    intervals: Mapping[str, Interval]
    noise: SeedNoise
    misfit: float | None
    points: int
    warnings: tuple[str, ...]

    @property
    def is_misfit(self) -> bool:
        """Whether the lack-of-fit test rejects the law at 5 %."""
        return self.misfit is not None and self.misfit < _MISFIT_LEVEL

    def band(self, inputs: Array) -> tuple[Array, Array, Array]:
        """Loss (m,) at inputs (m,) or (m, K) with the low and high ends of its interval; NaN if none."""
        predicted = self.law.predict(inputs)
        if self.theta is None or self.resamples is None:
            return predicted, np.full_like(predicted, np.nan), np.full_like(predicted, np.nan)
        replicates = self.law.predict(inputs, self.theta)
        ends = [
            self.resamples.interval(float(value), column)
            for value, column in zip(predicted, replicates.T, strict=True)
        ]
        return predicted, np.array([end.low for end in ends]), np.array([end.high for end in ends])

    def to_json(self) -> dict[str, Any]:
        """Everything about the fit that a machine may want."""
        spread = self.law.named(self.theta) if self.theta is not None else {}
        return {
            "arm": self.arm,
            "loss": self.loss,
            "inputs": dict(zip(self.law.inputs, self.columns, strict=True)),
            **self.law.summary(),
            "intervals": {name: [end.low, end.high] for name, end in self.intervals.items()},
            "standard_errors": {name: float(np.std(values, ddof=1)) for name, values in spread.items()},
            "interval_method": self.resamples.method if self.resamples else "none",
            "replicates": 0 if self.theta is None else len(self.theta),
            "seed_noise": asdict(self.noise),
            "lack_of_fit_p": self.misfit,
            "points": self.points,
            "warnings": list(self.warnings),
        }


def fit_arm(
    table: pl.DataFrame,
    law: ScalingLaw,
    *,
    loss: str,
    uniforms: Mapping[tuple[int, int, int], Array],
    size: str = "parameters",
) -> Fit:
    """Fit a law to the runs of one arm.

    Parameters
    ----------
    table : polars.DataFrame
        Rows of ``Runs.table`` of one arm.
    law : ScalingLaw
        Not fitted yet.
    loss : str
        Column of the loss.
    uniforms : dict
        See ``common_uniforms``.
    size : {"parameters", "non_embedding_parameters"}
        How N is counted.

    Raises
    ------
    RecordError
        If the runs cannot determine the law, naming the arm.
    """
    arm = str(table["arm"][0])
    columns = tuple(size if name == "N" else COLUMNS[name] for name in law.inputs)
    inputs = table.select(columns).to_numpy().astype(np.float64)
    try:
        law.fit(inputs, table[loss].to_numpy())
    except RecordError as error:
        raise RecordError(error.what, where=arm, remedy=error.remedy) from None
    noise = seed_noise(table, loss)
    resamples = resample_runs(table, loss, uniforms)
    theta = law.refit(resamples.log_loss, resamples.weight) if resamples else None
    spread = law.named(theta) if theta is not None else {}
    intervals = {
        name: resamples.interval(value, spread[name]) if resamples else Interval(value, None, None)
        for name, value in law.params_.items()
    }
    points = len(np.unique(inputs, axis=0))
    misfit = _lack_of_fit(table, loss, inputs, law, noise, points)
    warnings = _warnings(law, intervals, resamples, noise, misfit, points)
    return Fit(arm, loss, columns, law, resamples, theta, intervals, noise, misfit, points, warnings)


def _lack_of_fit(
    table: pl.DataFrame, loss: str, inputs: Array, law: ScalingLaw, noise: SeedNoise, points: int
) -> float | None:
    """p-value of the F test of the points' means against the law, by the spread between seeds.

    The test is that of least squares, so the law is fitted again with Huber's threshold out of reach.
    """
    degrees = points - len(law.parameters)
    if degrees < 1 or not noise.deviation:
        return None
    squares = type(law)(delta=np.inf).fit(inputs, table[loss].to_numpy())
    off = (
        table.select("parameters", "tokens", log_loss=pl.col(loss).log())
        .with_columns(off=pl.col("log_loss") - pl.Series(np.log(squares.predict(inputs))))
        .group_by("parameters", "tokens")
        .agg(pl.col("off").mean(), pl.len())
    )
    statistic = float((off["off"] ** 2 * off["len"]).sum()) / degrees / noise.deviation**2
    return float(fisher.sf(statistic, degrees, noise.degrees))


def _warnings(
    law: ScalingLaw,
    intervals: Mapping[str, Interval],
    resamples: Resamples | None,
    noise: SeedNoise,
    misfit: float | None,
    points: int,
) -> tuple[str, ...]:
    found: list[str] = []
    spare = points - len(law.parameters)
    if spare == 0:
        found.append(
            f"{points} points for {len(law.parameters)} parameters: "
            "the curve passes through them whatever the law"
        )
    if resamples is None:
        found.append("no interval: no size has two seeds")
    elif noise.degrees and noise.degrees < 10:
        found.append(f"seed noise rests on {noise.degrees} degrees of freedom")
    if misfit is not None and misfit < _MISFIT_LEVEL:
        found.append(
            "the law misses the sizes' means by more than seed noise explains; its intervals hold seed noise "
            "only"
        )
    found += [
        f"the interval of {name} includes 0: no scaling was shown"
        for name in ("alpha", "beta")
        if name in intervals and resamples and not intervals[name].excludes_zero
    ]
    if not law.convergence_.converged:
        found.append("the fitter did not meet its stopping test")
    return tuple(found)
