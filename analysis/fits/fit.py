"""A law fitted to one group of runs, with its intervals, and what may be wrong with it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import f as fisher

from analysis.arrays import Array
from analysis.fits.doubts import MISFIT_LEVEL, doubts_of_parameters, doubts_of_runs
from analysis.fits.fitters import fit_by
from analysis.laws.law import ScalingLaw
from analysis.solvers.objective import Objective, to_scale
from analysis.tables.sample import Sample
from analysis.uncertainty.bootstrap import Resamples, SeedNoise, resample, seed_noise
from analysis.uncertainty.intervals import Interval
from analysis.uncertainty.profile import HUBER_PROFILE, PROFILE, profile_interval


@dataclass(frozen=True)
class Fit:
    """One group's fit.

    Attributes
    ----------
    sample : Sample
        The runs.
    columns : tuple of str
        Column of each of the law's inputs.
    law : ScalingLaw
        Fitted.
    resamples : Resamples or None
    theta : ndarray (R, P) or None
        Solver's solutions of the replicates.
    intervals : dict of str to Interval
        Of each parameter.
    interval_method : str
    noise : SeedNoise
    misfit : float or None
        p-value of the lack-of-fit test: points' means off the law against seed noise.
    points : int
        Distinct inputs.
    warnings : tuple of str
    """

    sample: Sample
    columns: tuple[str, ...]
    law: ScalingLaw
    resamples: Resamples | None
    theta: Array | None
    intervals: Mapping[str, Interval]
    interval_method: str
    noise: SeedNoise
    misfit: float | None
    points: int
    warnings: tuple[str, ...]

    @property
    def solutions(self) -> Array:
        """The fit's solution, then those of the replicates, if any: (1 + R, P)."""
        point = self.law.theta_[None]
        return point if self.theta is None else np.vstack([point, self.theta])

    @property
    def group(self) -> str:
        """Name of the runs together."""
        return self.sample.group

    @property
    def is_misfit(self) -> bool:
        """Whether the lack-of-fit test rejects the law at 5 %."""
        return self.misfit is not None and self.misfit < MISFIT_LEVEL

    @property
    def residuals(self) -> Array:
        """Measured minus predicted (n,) on the law's scale, inflated for the parameters fitted to them.

        Those of runs of the mean weight: with weights each is multiplied by the square root of its own.
        """
        off = np.sqrt(self.sample.weight) * residuals(self.law, self.sample.inputs, self.sample.target)
        free = len(self.law.parameters) - len(self.law.fixed_)
        inflated: Array = off * np.sqrt(self.sample.rows / max(self.sample.rows - free, 1))
        return inflated

    @property
    def standard_errors(self) -> dict[str, float]:
        """Standard deviation of each parameter's replicates, at the estimated scale of the noise."""
        if self.theta is None or self.resamples is None:
            return {}
        away = self.law.named(self.theta)
        # A coefficient that the runs hardly bound is infinite in some replicates, and so its spread.
        with np.errstate(over="ignore", invalid="ignore"):
            return {
                name: float(np.std((away[name] - value) / self.resamples.scale, ddof=1))
                for name, value in self.law.params_.items()
            }

    def band(self, inputs: Array) -> tuple[Array, Array, Array]:
        """Target (m,) at inputs (m,) or (m, K) with the low and high ends of its interval; NaN if none."""
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
        return {
            "group": self.group,
            "inputs": dict(zip(self.law.inputs, self.columns, strict=True)),
            "target": self.law.target,
            **self.law.summary(),
            "intervals": {name: {"low": end.low, "high": end.high} for name, end in self.intervals.items()},
            "standard_errors": self.standard_errors,
            "interval_method": self.interval_method,
            "replicates": 0 if self.theta is None else len(self.theta),
            "seed_noise": asdict(self.noise),
            "lack_of_fit_p": self.misfit,
            "points": self.points,
            "warnings": list(self.warnings),
        }


def determines_exponent(fit: Fit) -> bool:
    """Whether a group's runs determine the exponent of a law in N.

    At least one size must be left over to judge the law by, and the exponent's interval, where there is
    one, be no wider than twice the exponent: an irreducible loss and an exponent can otherwise stand
    in for each other.
    """
    alpha = fit.intervals["alpha"]
    if fit.points <= len(fit.law.parameters):
        return False
    return alpha.low is None or alpha.high is None or alpha.high - alpha.low <= 2 * abs(alpha.estimate)


def residuals(law: ScalingLaw, inputs: Array, measured: Array) -> Array:
    """Measured minus predicted (n,) on the law's scale: of logs, or of the target itself."""
    return to_scale(measured, law.scale) - to_scale(law.predict(inputs), law.scale)


def fit_sample(
    law: ScalingLaw,
    sample: Sample,
    *,
    columns: tuple[str, ...] | None = None,
    replicates: int = 2000,
    seed: int = 42,
    fixed: Mapping[str, float] | None = None,
) -> Fit:
    """Fit a law to the runs of one group.

    Parameters
    ----------
    law : ScalingLaw
        Not fitted yet.
    sample : Sample
        With the law's inputs and target.
    columns : tuple of str, optional
        Where the inputs came from, if not from columns of their letters.
    replicates, seed : int
        Of the bootstrap.
    fixed : dict of str to float, optional
        Parameters to hold.

    Raises
    ------
    RecordError
        If the runs cannot determine the law, naming the group.
    """
    fit_by("newton", law, sample, fixed=fixed)
    return with_intervals(law, sample, columns=columns, replicates=replicates, seed=seed)


def with_intervals(
    law: ScalingLaw, sample: Sample, *, columns: tuple[str, ...] | None, replicates: int, seed: int
) -> Fit:
    """A fitted law with its intervals, its lack of fit and its warnings."""
    noise = seed_noise(sample, law.scale)
    resamples = resample(sample, replicates, seed, law.scale)
    theta = law.refit(resamples.target, resamples.weight * sample.weight) if resamples else None
    if resamples and theta is not None:
        spread = law.named(theta)
        intervals = {name: resamples.interval(value, spread[name]) for name, value in law.params_.items()}
        method = resamples.method
    elif sample.has_checkpoints:
        intervals = {name: Interval(value, None, None) for name, value in law.params_.items()}
        method = "none: too few runs to draw whole, and checkpoints of one run are not independent"
    else:
        intervals = {name: profile_interval(law, name) for name in law.parameters}
        method = (
            (PROFILE if np.isinf(law.objective.delta) else HUBER_PROFILE)
            if any(end.low is not None for end in intervals.values())
            else "none: no run is spare"
        )
    intervals |= {name: Interval(value, None, None) for name, value in law.fixed_.items()}
    points = len(np.unique(sample.inputs, axis=0))
    misfit = _lack_of_fit(sample, law, noise)
    return Fit(
        sample=sample,
        columns=columns or law.inputs,
        law=law,
        resamples=resamples,
        theta=theta,
        intervals=intervals,
        interval_method=method,
        noise=noise,
        misfit=misfit,
        points=points,
        warnings=(
            *doubts_of_runs(law, sample, resamples, noise, misfit),
            *doubts_of_parameters(law, sample, intervals),
        ),
    )


def _lack_of_fit(sample: Sample, law: ScalingLaw, noise: SeedNoise) -> float | None:
    """p-value of the F test of the points' means against the law, by the spread between seeds.

    Points are those whose runs differ in their seed alone, also where they differ in what the law does not
    see. The test is that of least squares on the law's scale, so the law is fitted again with Huber's
    threshold out of reach.
    """
    _, cell = np.unique(sample.cells, return_inverse=True)
    weight = np.bincount(cell, sample.weight)
    degrees = len(weight) - len(law.parameters) + len(law.fixed_)
    if degrees < 1 or not noise.deviation:
        return None
    squares = type(law)(Objective(law.scale, np.inf)).fit(
        sample.inputs, sample.target, weight=sample.weight, fixed=law.fixed_
    )
    off = residuals(squares, sample.inputs, sample.target)
    means = np.bincount(cell, sample.weight * off) / weight
    statistic = float((means**2 * weight).sum()) / degrees / noise.deviation**2
    return float(fisher.sf(statistic, degrees, noise.degrees))
