"""Noise for a wanted epsilon, and epsilon of a noise."""

import math
from collections.abc import Callable
from functools import cache

from scipy.optimize import brentq

from wardlaw.errors import ConfigError
from wardlaw.privacy.accountant import TOLERANCE, epsilon, epsilon_on, first_interval
from wardlaw.privacy.epsilon import LARGEST, epsilon_text
from wardlaw.privacy.events import PoissonGaussian
from wardlaw.privacy.plan import Plan

_TRIES = 5
_STEP = 1.05


def plan_for_epsilon(patients: int, batch: int, steps: int, delta: float, target: float) -> Plan:
    """Plan with the least noise whose epsilon is at most ``target``, to about 1 in 1000.

    Raises
    ------
    ConfigError
        As ``noise_for`` does.
    """
    noise, spent = _calibrate(target, delta, batch / patients, steps)
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
        If the target is not positive, or so large that it promises nothing.
    """
    return _calibrate(target, delta, sampling_rate, steps)[0]


def _calibrate(target: float, delta: float, sampling_rate: float, steps: int) -> tuple[float, float]:
    """Noise, and the epsilon that it costs.

    The root is sought on a coarse grid, whose bound lies above the accountant's value by an excess that
    hardly depends on the noise. A grid twice as fine tells it, since it falls with the square of the
    interval; the accountant's own value corrects it for the next try, if there has to be one.
    """
    if not 0 < target <= LARGEST:
        raise ConfigError(
            f"no noise is planned for an epsilon of {epsilon_text(target, 'g')}", remedy="Ask for 0.1 to 10"
        )

    def events(noise: float) -> tuple[PoissonGaussian]:
        return (PoissonGaussian(sampling_rate, noise, steps),)

    @cache
    def bound(noise: float, coarseness: float = 1.0) -> float:
        return epsilon_on(events(noise), delta, coarseness * first_interval(events(noise)))

    slack = min(5 * TOLERANCE * max(1.0, target), 0.05 * target)
    wanted = target - slack / 2
    noise = _root(bound, wanted, start=1.0)
    excess = (bound(noise) - bound(noise, 0.5)) * 4 / 3
    for _ in range(_TRIES):
        noise = _root(bound, wanted + excess, start=noise)
        reached = epsilon(events(noise), delta)
        if target - slack <= reached <= target:
            return noise, reached
        excess = bound(noise) - reached
    while reached > target:
        noise *= 1.002
        reached = epsilon(events(noise), delta)
    return noise, reached


def _root(bound: Callable[[float], float], aim: float, *, start: float) -> float:
    """Noise at which the falling ``bound`` meets ``aim``, sought around ``start`` in ever larger steps."""
    low = high = start
    step = _STEP
    while bound(low) <= aim:
        low, high, step = low / step, low, step**2
    while bound(high) > aim:
        low, high, step = high, high * step, step**2
    # In logarithms the bound is almost a line.
    root: float = brentq(
        lambda log_noise: math.log(max(bound(math.exp(log_noise)), 1e-9) / aim),
        math.log(low),
        math.log(high),
        xtol=1e-4,
    )
    return math.exp(root)
