"""Parameters that a fit took to a limit where nothing depends on them."""

import numpy as np

from analysis.arrays import Array
from analysis.laws.law import ScalingLaw

_NOTHING = 1e-6


def without_effect(law: ScalingLaw, inputs: Array) -> list[str]:
    """Free parameters that no prediction at inputs (n, K) depends on where the fit left them.

    A floor that went to 0 or a decay that went to infinity: the data bound it from one side only, and its
    value says no more than that. Changed by a factor of e (a coefficient) or by 1 (an exponent), it moves
    no log prediction by 1e-6.
    """
    features = law.features(inputs) - law.centre_
    _, jacobian = law.curve(features, law.theta_[None])
    largest = np.abs(jacobian[0]).max(axis=0)
    return [
        name
        for name, slope in zip(law.parameters, largest, strict=True)
        if slope < _NOTHING and name not in law.fixed_
    ]
