"""What a fit minimises: a loss of residuals, on the log of the target or on the target itself."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from analysis.arrays import Array
from analysis.solvers.local_model import Curve

Scale = Literal["log", "raw"]


def to_scale(target: Array, scale: Scale) -> Array:
    """A target as itself or as its log."""
    return np.log(target) if scale == "log" else target


def from_scale(values: Array, scale: Scale) -> Array:
    """The inverse of ``to_scale``."""
    return np.exp(values) if scale == "log" else values


@dataclass(frozen=True)
class Objective:
    """Sum over runs of Huber's loss of (predicted - measured) on one scale.

    Attributes
    ----------
    scale : {"log", "raw"}
        On which predicted and measured values are subtracted: the noise is a fraction of the target
        (multiplicative) on the log scale, the same at all targets (additive) on the raw one.
    delta : float
        Huber's threshold, in units of the scale; infinite for least squares.
    """

    scale: Scale
    delta: float

    def measured(self, target: Array) -> Array:
        """The target on this scale."""
        return to_scale(target, self.scale)

    def curve(self, curve: Curve, scale: Scale) -> Curve:
        """A law's curve, which it gives on ``scale``, on the objective's own."""
        if scale == self.scale:
            return curve
        if self.scale == "raw":

            def exponential(theta: Array) -> tuple[Array, Array]:
                prediction, jacobian = curve(theta)
                value = np.exp(prediction)
                return value, jacobian * value[..., None]

            return exponential

        def logarithm(theta: Array) -> tuple[Array, Array]:
            prediction, jacobian = curve(theta)
            return np.log(prediction), jacobian / prediction[..., None]

        return logarithm

    def __str__(self) -> str:
        quantity = "log predicted - log measured" if self.scale == "log" else "predicted - measured"
        if np.isinf(self.delta):
            return f"half the sum over runs of ({quantity})^2"
        return f"sum over runs of Huber({quantity}), delta = {self.delta:g}"


HUBER_LOG = Objective("log", 1e-3)
"""Hoffmann et al. 2022, arXiv 2203.15556, equation 3: robust, noise as a fraction of the loss."""

LOG_SQUARES = Objective("log", np.inf)
"""Maximum likelihood under Gaussian noise of the log loss."""

SQUARES = Objective("raw", np.inf)
"""Maximum likelihood under Gaussian noise of the loss; what variable projection minimises."""

OBJECTIVES = {"huber-log": HUBER_LOG, "squares-log": LOG_SQUARES, "squares": SQUARES}
