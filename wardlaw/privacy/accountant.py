"""Epsilon of events, by their privacy loss distribution.

The distribution of one step's privacy loss is put on a grid and convolved with itself (Koskela et al.,
arXiv 1906.03049; Doroshenko et al., "Connect the Dots", arXiv 2207.04380), by Google's dp-accounting.
A grid rounds losses up, so each value is an upper bound; a finer grid brings it down to the truth.
"""

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache

from dp_accounting.pld import privacy_loss_distribution as pld
from scipy.optimize import brentq

from wardlaw.privacy.epsilon import LARGEST
from wardlaw.privacy.events import Event, Gaussian, PoissonGaussian, merge
from wardlaw.privacy.step_loss import step_loss

TOLERANCE = 1e-4
"""How far above the exact value an epsilon may lie: this, or this share of it where it exceeds 1."""

MEANINGLESS = 10_000.0
"""Where the mean privacy loss may exceed this, no grid need be laid over it to tell that epsilon is large."""

LEAST_NOISE = 1e-3
"""Noise multiplier below which epsilon is infinity, for the same reason: one draw alone loses 500,000."""

_TAIL = 1e-6
"""Share of delta that the cut tails of a composition may take: they count as infinite losses."""

_POINTS = 500_000
"""Most points of a step's grid, so that an epsilon takes seconds at the worst."""


def epsilon(events: Iterable[Event], delta: float) -> float:
    """Smallest epsilon known for which the events together are (epsilon, delta)-private.

    Neighbours differ by one patient, added or removed. A value lies above the exact one, by about
    ``TOLERANCE`` at most (more only where noise below 0.6 meets hundreds of thousands of steps); no
    events cost 0.

    Parameters
    ----------
    events : iterable of Event
        All that was released of the same patients; order and grouping do not matter.
    delta : float
        In (0, 1). Below 1e-10 the arithmetic of transforms shows: after many steps a value may lie below
        the truth, or be infinity.

    Returns
    -------
    float
        Infinity if it is more than ``wardlaw.privacy.epsilon.LARGEST``, which promises nothing.

    Raises
    ------
    ValueError
        If delta is out of range.
    """
    if not 0 < delta < 1:
        raise ValueError(f"delta must lie between 0 and 1, not {delta}")
    merged = merge(events)
    if not merged:
        return 0.0
    # First, since the square of the least noise is no float.
    if min(event.noise_multiplier for event in merged) < LEAST_NOISE:
        return math.inf
    if sum(_mean_loss(event) for event in merged) > MEANINGLESS:
        return math.inf
    interval = first_interval(merged)
    bound = epsilon_on(merged, delta, interval)
    # The excess of a bound falls with the square of the interval, so that two bounds tell what is left.
    ratio = 0.5
    while interval * ratio > _finest_interval(merged) and math.isfinite(bound):
        interval *= ratio
        finer = min(bound, epsilon_on(merged, delta, interval))
        excess = (bound - finer) * ratio**2 / (1 - ratio**2)
        bound, allowed = finer, TOLERANCE * max(1.0, finer)
        if excess <= allowed:
            break
        ratio = min(max(0.8 * math.sqrt(allowed / excess), 0.1), 0.5)
    return bound if bound <= LARGEST else math.inf


@lru_cache(maxsize=64)
def epsilon_on(events: tuple[Event, ...], delta: float, interval: float) -> float:
    """Upper bound of ``epsilon`` on a grid of privacy losses with this interval."""
    whole = sum(_precision(event) for event in events if _sampling_rate(event) == 1)
    parts = [
        step_loss(
            event.sampling_rate,
            event.noise_multiplier,
            interval=interval,
            log_truncation=math.log(_TAIL * delta / event.steps),
        ).self_compose(event.steps)
        for event in events
        if isinstance(event, PoissonGaussian) and event.sampling_rate < 1
    ]
    if whole:
        # Gaussian mechanisms on all patients compose to a Gaussian mechanism: their precisions add up.
        parts.append(
            pld.from_gaussian_mechanism(1 / math.sqrt(whole), value_discretization_interval=interval)
        )
    total = parts[0]
    for part in parts[1:]:
        total = total.compose(part)
    return _epsilon_at(total, delta)


def _epsilon_at(losses: pld.PrivacyLossDistribution, delta: float) -> float:
    """Where the distribution's delta is met. The library's own search walks all losses in Python."""

    def excess(epsilon: float) -> float:
        return math.log(max(float(losses.get_delta_for_epsilon(epsilon)), 1e-300) / delta)

    if excess(0.0) <= 0:
        return 0.0
    if excess(math.inf) >= 0:
        return math.inf
    high = 1.0
    while excess(high) > 0:
        high *= 2
    return float(brentq(excess, 0.0, high, xtol=1e-10))


def first_interval(events: Sequence[Event]) -> float:
    """Interval of a coarse grid: half the standard deviation of the narrowest event's privacy loss."""
    return max(0.5 * min(_spread(event) for event in events), _finest_interval(events))


def _sampling_rate(event: Event) -> float:
    return event.sampling_rate if isinstance(event, PoissonGaussian) else 1.0


def _repeats(event: Event) -> int:
    return event.count if isinstance(event, Gaussian) else event.steps


def _precision(event: Event) -> float:
    return _repeats(event) / event.noise_multiplier**2


def _chi_square(event: Event) -> float:
    """chi^2 divergence of a draw with the patient from one without: q^2 (e^(1 / sigma^2) - 1)."""
    exponent = event.noise_multiplier**-2
    return _sampling_rate(event) ** 2 * math.expm1(exponent) if exponent < 700 else math.inf


def _mean_loss(event: Event) -> float:
    """Upper bound of the mean privacy loss: KL is at most log(1 + chi^2), and convex in the sampling rate."""
    gaussian = 0.5 * event.noise_multiplier**-2
    return _repeats(event) * min(math.log1p(_chi_square(event)), _sampling_rate(event) * gaussian)


def _finest_interval(events: Sequence[Event]) -> float:
    """So that ten standard deviations of the least noise lie on a grid of ``_POINTS``."""
    least = min(event.noise_multiplier for event in events)
    return (10 / least + 0.5 / least**2) / _POINTS


def _spread(event: Event) -> float:
    """About the standard deviation of a step's privacy loss; a tenth of all steps' where q is 1."""
    if _sampling_rate(event) == 1:
        return 0.1 * math.sqrt(_precision(event))
    return min(math.sqrt(_chi_square(event)), 1 / event.noise_multiplier)
