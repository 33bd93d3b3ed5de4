"""Noise for a wanted epsilon, and epsilon of a noise."""

import math
from collections.abc import Callable

from wardlaw.errors import ConfigError
from wardlaw.privacy.accountant import LEAST_NOISE, TOLERANCE, epsilon
from wardlaw.privacy.events import PoissonGaussian
from wardlaw.privacy.plan import Plan

MOST = 1000.0
"""Largest epsilon that noise is planned for."""

_SLACK = 5.0
"""Tolerances of the accountant by which an epsilon may lie below its target."""

_ROUGH = 20.0
"""Tolerances of the accountant to which noise is sought first."""

_FAR = 100.0
"""How many times too large or too small an epsilon is: more is not asked."""

_STEP = 1.3
_TRIES = 5


def plan_for_epsilon(patients: int, batch: int, steps: int, delta: float, target: float) -> Plan:
    """Plan with the least noise whose epsilon is at most ``target``, to about 1 in 1000.

    Raises
    ------
    ConfigError
        As ``noise_for`` does.
    """
    noise, spent = calibrated(target, delta, batch / patients, steps)
    return Plan(patients, batch, steps, delta, noise, spent)


def plan_for_noise(patients: int, batch: int, steps: int, delta: float, noise_multiplier: float) -> Plan:
    """Plan with this noise, and what it costs."""
    spent = epsilon([PoissonGaussian(batch / patients, noise_multiplier, steps)], delta)
    return Plan(patients, batch, steps, delta, noise_multiplier, spent)


def noise_for(target: float, delta: float, *, sampling_rate: float, steps: int) -> float:
    """Least noise multiplier whose epsilon is at most ``target``, to about 1 in 1000.

    Parameters
    ----------
    target : float
        Wanted epsilon.
    delta : float
        In (0, 1).
    sampling_rate : float
        q in (0, 1].
    steps : int

    Returns
    -------
    float
        sigma; the accountant's ``epsilon`` of it never exceeds the target.

    Raises
    ------
    ConfigError
        If the target is not positive, or so large that it promises nothing; or if a patient is so seldom
        drawn that no noise is needed.
    """
    return calibrated(target, delta, sampling_rate, steps)[0]


def calibrated(
    target: float,
    delta: float,
    sampling_rate: float,
    steps: int,
    *,
    guess: float = 1.0,
    tolerance: float = TOLERANCE,
) -> tuple[float, float]:
    """Noise as ``noise_for`` gives it, and the epsilon that it costs.

    In logarithms epsilon is almost a line over noise. It is sought on coarse grids, and then followed by the
    accountant's values.

    Parameters
    ----------
    target, delta, sampling_rate, steps
        As for ``noise_for``.
    guess : float
        Noise near which the search begins.
    tolerance : float
        The accountant's.
    """
    if not 0 < target <= MOST:
        raise ConfigError(f"no noise is planned for an epsilon of {target:g}", remedy="Ask for 0.1 to 10")

    def spent(noise: float, tolerance: float = tolerance) -> float:
        return epsilon([PoissonGaussian(sampling_rate, noise, steps)], delta, tolerance)

    slack = min(_SLACK * tolerance * max(1.0, target), 0.05 * target)
    rough = _ROUGH * tolerance
    noise, slope = _roughly(
        lambda noise: spent(noise, rough * min(1.0, target)), target - slack / 2, rough, guess
    )
    reached = spent(noise)
    for _ in range(_TRIES):
        if target - slack <= reached <= target:
            return noise, reached
        before = noise, reached
        noise *= ((target - slack / 2) / reached) ** (1 / slope)
        reached = spent(noise)
        slope = math.log(reached / before[1]) / math.log(noise / before[0])
    while reached > target:
        noise *= 1 + tolerance
        reached = spent(noise)
    return noise, reached


def _roughly(spent: Callable[[float], float], aim: float, close: float, guess: float) -> tuple[float, float]:
    """Noise that costs about ``aim``, and the slope there of log epsilon over log noise.

    Raises
    ------
    ConfigError
        If any noise costs less than ``aim``.
    """

    def excess(noise: float) -> float:
        return math.log(min(max(spent(noise) / aim, 1 / _FAR), _FAR))

    low = high = guess
    above = below = excess(guess)
    step = _STEP
    while above <= 0:
        if low < LEAST_NOISE:
            raise ConfigError(
                "a patient is drawn at all with a probability below delta: any noise would do",
                remedy="Take a smaller delta",
            )
        high, below = low, above
        low, step = low / step, step**2
        above = excess(low)
    while below >= 0:
        low, above = high, below
        high, step = high * step, step**2
        below = excess(high)
    while True:
        slope = (below - above) / math.log(high / low)
        share = min(max(above / (above - below), 0.1), 0.9)
        noise = low * (high / low) ** share
        here = excess(noise)
        if abs(here) < 2 * close or high / low < 1 + close:
            return noise, slope
        if here > 0:
            low, above = noise, here
        else:
            high, below = noise, here
