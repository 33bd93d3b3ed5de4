"""Exponents that a fit's objective does not determine."""

import numpy as np

from analysis.laws.law import ScalingLaw

_FLAT, _SAME = 0.1, 1e-6


def exponent_names(law: ScalingLaw) -> tuple[str, ...]:
    """The exponents of a law in the order of its parameters, but for those that are held."""
    return tuple(name for name in law.parameters if name in law.exponents and name not in law.fixed_)


def undetermined_exponents(law: ScalingLaw) -> list[str]:
    """Exponents that could be a tenth larger or smaller at no loss: the objective is flat there.

    Huber's loss is nearly an absolute one, and between two seeds all curves have the same absolute loss.
    """
    if np.isinf(law.objective.delta):
        return []
    steps = np.array([1 - _FLAT, 1 + _FLAT])
    lowest = {name: law.profile(name, law.params_[name] * steps)[0] for name in exponent_names(law)}
    return [name for name, values in lowest.items() if values.min() <= law.objective_ * (1 + _SAME)]
