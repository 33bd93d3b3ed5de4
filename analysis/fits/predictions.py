"""What a fitted law says of runs that were not fitted, and how far it can be trusted there."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from analysis.arrays import Array
from analysis.fits.fit import Fit, residuals
from analysis.laws.law import ScalingLaw
from analysis.solvers.objective import from_scale, to_scale
from analysis.uncertainty.intervals import DEFAULT_SEED, Interval
from wardlaw.errors import RecordError
from wardlaw.seeds import generator

# Beyond this multiple of what was fitted a prediction is a guess.
_FAR = 10.0


@dataclass(frozen=True)
class Prediction:
    """The law at one point.

    Attributes
    ----------
    inputs : dict of str to float
        By letter.
    mean : Interval
        Of the law itself.
    run : Interval
        Of one more run there: the law's uncertainty and the scatter of the runs about it.
    warnings : tuple of str
        Where the point lies outside the runs that were fitted.
    """

    inputs: Mapping[str, float]
    mean: Interval
    run: Interval
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "inputs": dict(self.inputs),
            "prediction": self.mean.estimate,
            "interval": {"low": self.mean.low, "high": self.mean.high},
            "run_interval": {"low": self.run.low, "high": self.run.high},
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True)
class Errors:
    """How far a law is off runs that were not fitted.

    Attributes
    ----------
    mean_residual : float
        Mean of |measured - predicted| on the law's scale: of logs for losses.
    mean_relative_error, largest_relative_error : float
        Of |predicted - measured| / measured; infinite where a measured value is 0.
    """

    mean_residual: float
    mean_relative_error: float
    largest_relative_error: float


@dataclass(frozen=True)
class HoldOut(Errors):
    """Runs that were kept out of the fit, against its predictions.

    Attributes
    ----------
    condition : str
    n : int
    covered : float or None
        Share of the runs inside the interval of a run.
    at_largest : dict
        The run with the most compute (or largest inputs): its inputs, measured and predicted target,
        relative error with its sign.
    """

    condition: str
    n: int
    covered: float | None
    at_largest: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self) | {"prediction_at_largest": self.at_largest["predicted"]}


def held_out_errors(law: ScalingLaw, inputs: Array, measured: Array) -> Errors:
    """Errors of a fitted law at inputs (m, K) with targets (m,)."""
    relative = np.abs(relative_errors(law.predict(inputs), measured))
    return Errors(
        mean_residual=float(np.abs(residuals(law, inputs, measured)).mean()),
        mean_relative_error=float(relative.mean()),
        largest_relative_error=float(relative.max()),
    )


def relative_errors(predicted: Array, measured: Array) -> Array:
    """(predicted - measured) / measured; infinite where a measured value is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((predicted - measured) / measured)


def predict_at(fit: Fit, points: Array, *, seed: int = DEFAULT_SEED) -> list[Prediction]:
    """Predictions at points (m, K), in the order of the law's inputs.

    Raises
    ------
    RecordError
        If a value is not a positive number.
    """
    law = fit.law
    for name, values in zip(law.inputs, points.T, strict=True):
        if not (np.isfinite(values) & (values >= 0 if name in law.may_be_zero else values > 0)).all():
            raise RecordError(f"{name} must be positive to predict there", where="--predict")
    predicted = law.predict(points)
    law_ends = [Interval(float(value), None, None) for value in predicted]
    run_ends = list(law_ends)
    if fit.theta is not None and fit.resamples is not None:
        replicates = law.predict(points, fit.theta)
        drawn = generator(seed, "prediction").choice(fit.residuals, size=replicates.shape)
        drawn *= fit.resamples.scale[:, None]
        noisy = from_scale(to_scale(replicates, law.scale) + drawn, law.scale)
        law_ends = [fit.resamples.interval(float(v), r) for v, r in zip(predicted, replicates.T, strict=True)]
        run_ends = [fit.resamples.interval(float(v), r) for v, r in zip(predicted, noisy.T, strict=True)]
    return [
        Prediction(
            dict(zip(law.inputs, map(float, point), strict=True)), mean, run, tuple(_outside(fit, point))
        )
        for point, mean, run in zip(points, law_ends, run_ends, strict=True)
    ]


def judge_holdout(
    fit: Fit,
    condition: str,
    inputs: Array,
    measured: Array,
    compute: Array | None,
    *,
    seed: int = DEFAULT_SEED,
) -> HoldOut:
    """Compare predictions with runs that were held out.

    Parameters
    ----------
    inputs : ndarray (m, K)
    measured : ndarray (m,)
    compute : ndarray (m,) or None
        What "largest" means; without it the product of the inputs.
    seed : int
        Of the draws behind the interval of a run.
    """
    predictions = predict_at(fit, inputs, seed=seed)
    predicted = np.array([one.mean.estimate for one in predictions])
    size = inputs.prod(axis=1) if compute is None else compute
    largest = int(np.argmax(size))
    covered = (
        float(np.mean([one.run.covers(float(y)) for one, y in zip(predictions, measured, strict=True)]))
        if fit.theta is not None
        else None
    )
    return HoldOut(
        condition=condition,
        n=len(measured),
        **vars(held_out_errors(fit.law, inputs, measured)),
        covered=covered,
        at_largest={
            **predictions[largest].inputs,
            "measured": float(measured[largest]),
            "predicted": float(predicted[largest]),
            "relative_error": float(relative_errors(predicted, measured)[largest]),
        },
    )


def _outside(fit: Fit, point: Array) -> list[str]:
    found = []
    for name, value, seen in zip(fit.law.inputs, point, fit.sample.inputs.T, strict=True):
        low, high = float(seen.min()), float(seen.max())
        if low <= value <= high:
            continue
        times = value / high if value > high else low / value if value > 0 else np.inf
        side = "above the largest" if value > high else "below the smallest"
        found.append(
            f"{name} = {value:.3g} is {times:.3g} times {side} that was fitted"
            + (": a guess" if times > _FAR else "")
        )
    return found
