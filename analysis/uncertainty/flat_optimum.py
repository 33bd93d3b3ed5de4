"""Exponents that a fit's objective does not determine."""

import numpy as np

from analysis.laws.law import ScalingLaw
from analysis.laws.power_sum import PowerSum

_FLAT, _SAME = 0.1, 1e-6
# Exponents of the laws that are no sums of powers.
_EXPONENTS = frozenset({"alpha", "beta", "gamma", "kappa", "eta", "c0", "c1"})


def exponent_names(law: ScalingLaw) -> tuple[str, ...]:
    """The parameters of a law that are exponents, but for those that are held."""
    names = law.exponents if isinstance(law, PowerSum) else _EXPONENTS.intersection(law.parameters)
    return tuple(name for name in law.parameters if name in names and name not in law.fixed_)


def undetermined_exponents(law: ScalingLaw) -> list[str]:
    """Exponents that could be a tenth larger or smaller at no loss: the objective is flat there.

    Huber's loss is nearly an absolute one, and between two seeds all curves have the same absolute loss.
    """
    if np.isinf(law.objective.delta):
        return []
    steps = np.array([1 - _FLAT, 1 + _FLAT])
    lowest = {name: law.profile(name, law.params_[name] * steps)[0] for name in exponent_names(law)}
    return [name for name, values in lowest.items() if values.min() <= law.objective_ * (1 + _SAME)]
