"""Noise for a wanted epsilon, and epsilon of a noise."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from wardlaw.errors import ConfigError
from wardlaw.privacy.accountant import TOLERANCE, epsilon, epsilon_on, first_interval
from wardlaw.privacy.epsilon import LARGEST, epsilon_text
from wardlaw.privacy.events import PoissonGaussian
from wardlaw.privacy.plan import Plan

_COARSE = 8.0
"""Times the accountant's first interval: a grid for the first guess."""

_FAR = 100.0
"""How many times too large or too small an epsilon is: more is not asked."""

_TRIES = 6


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
        If the target is not positive, or so large that it promises nothing.
    """
    return calibrated(target, delta, sampling_rate, steps)[0]


def calibrated(
    target: float, delta: float, sampling_rate: float, steps: int, guess: float = 1.0
) -> tuple[float, float]:
    """Noise as ``noise_for`` gives it, and the epsilon that it costs; a good guess saves time.

    In logarithms epsilon is almost a line over noise. It is followed on a coarse grid first, then on the
    accountant's first, then by the accountant's values.
    """
    if not 0 < target <= LARGEST:
        raise ConfigError(
            f"no noise is planned for an epsilon of {epsilon_text(target, 'g')}", remedy="Ask for 0.1 to 10"
        )

    def events(noise: float) -> tuple[PoissonGaussian]:
        return (PoissonGaussian(sampling_rate, noise, steps),)

    def bound(noise: float, coarseness: float = 1.0) -> float:
        return epsilon_on(events(noise), delta, coarseness * first_interval(events(noise)))

    slack = min(5 * TOLERANCE * max(1.0, target), 0.05 * target)
    wanted = target - slack / 2
    line = _roughly(lambda noise: bound(noise, _COARSE), wanted, guess)
    for _ in range(2):
        line = line.through(bound(line.noise), wanted)
    for _ in range(_TRIES):
        noise, reached = line.noise, epsilon(events(line.noise), delta)
        if target - slack <= reached <= target:
            return noise, reached
        line = line.through(reached, wanted)
    while reached > target:
        noise *= 1.002
        reached = epsilon(events(noise), delta)
    return noise, reached


@dataclass(frozen=True)
class _Line:
    """Log epsilon over log noise: where it is believed to meet what is wanted, and how steep it is."""

    noise: float
    slope: float
    before: tuple[float, float] | None = None

    def through(self, reached: float, wanted: float) -> "_Line":
        """The line once it is known what the noise costs: through the point before, if there is one."""
        slope = self.slope
        if self.before is not None and reached != self.before[1]:
            slope = math.log(reached / self.before[1]) / math.log(self.noise / self.before[0])
        # Two points of different grids can lie anyhow.
        slope = slope if self.slope / 3 >= slope >= 3 * self.slope else self.slope
        return _Line(self.noise * (wanted / reached) ** (1 / slope), slope, (self.noise, reached))


def _roughly(bound: Callable[[float], float], wanted: float, guess: float) -> _Line:
    """Line through two noises between which the falling ``bound`` meets what is wanted."""

    def excess(noise: float) -> float:
        return math.log(min(max(bound(noise) / wanted, 1 / _FAR), _FAR))

    low = high = guess
    above = below = excess(guess)
    step = 1.2
    while above <= 0:
        high, below = low, above
        low, step = low / step, step**2
        above = excess(low)
    while below > 0:
        low, above = high, below
        high, step = high * step, step**2
        below = excess(high)
    while True:
        slope = (below - above) / math.log(high / low)
        noise = low * (high / low) ** min(max(above / (above - below), 0.1), 0.9)
        here = excess(noise)
        if abs(here) < 0.1:
            return _Line(noise, slope)
        if here > 0:
            low, above = noise, here
        else:
            high, below = noise, here
