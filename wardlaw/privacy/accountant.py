"""Epsilon of events, by their privacy loss distribution.

The distribution of one step's privacy loss is put on a grid and added up over the steps (Koskela et al.,
arXiv 1906.03049; Doroshenko et al., "Connect the Dots", arXiv 2207.04380), as in Google's dp-accounting,
which gives the same values. A grid rounds losses up, so each value is an upper bound; a finer grid brings
it down to the truth.
"""

import math
from collections.abc import Iterable, Sequence

from wardlaw.privacy.composition import Repeated, composed
from wardlaw.privacy.epsilon import LARGEST
from wardlaw.privacy.events import Event, Gaussian, PoissonGaussian, merge
from wardlaw.privacy.step_loss import reach, step_losses

TOLERANCE = 1e-4
"""How far above the exact value an epsilon may lie: this, or this share of it where it exceeds 1."""

LEAST_NOISE = 1e-3
"""Less noise costs no more than this: where a patient is drawn at all, already this loses 500,000."""

_CUT = 1e-6
"""Share of delta that high losses may take which count as infinite: of the steps, and of their sum."""

_CELLS = 64
"""Of the first grid, over all losses of a step."""

_WIDE = 0.25
"""Interval above which e^interval is no line: bounds may rest, and then fall again."""

_POINTS = 2**22
"""Most points of a sum's grid, so that an epsilon takes seconds at the worst."""


def epsilon(events: Iterable[Event], delta: float, tolerance: float = TOLERANCE) -> float:
    """Smallest epsilon known for which the events together are (epsilon, delta)-private.

    Neighbours differ by one patient, added or removed. A value lies above the exact one, by ``tolerance`` at
    most (by more only after many millions of steps, where the grid may be no finer); no events cost 0.

    Parameters
    ----------
    events : iterable of Event
        All that was released of the same patients; order and grouping do not matter.
    delta : float
        In (0, 1).
    tolerance : float
        Times epsilon where that is above 1.

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
    steps = _as_steps(events)
    if not steps:
        return 0.0
    bound = _converged(steps, delta, tolerance)
    return bound if bound <= LARGEST else math.inf


def _converged(steps: Sequence[PoissonGaussian], delta: float, tolerance: float) -> float:
    """Bound on ever finer grids, until it hardly falls.

    Where an interval below ``_WIDE`` is halved, at most half of a bound's excess stays: no more than what the
    bound fell by.
    """
    cut = max(_CUT * delta / sum(step.steps for step in steps), 1e-300)
    reached = [reach(step.sampling_rate, step.noise_multiplier, cut) for step in steps]
    interval = max(highest - lowest for lowest, highest in reached) / _CELLS
    bound, points = _bound_on(steps, delta, interval, cut)
    fallen = math.inf
    while (interval > _WIDE or fallen > tolerance * max(1.0, bound)) and 2 * points <= _POINTS:
        if bound - fallen > 2 * LARGEST:
            break
        interval /= 2
        finer, points = _bound_on(steps, delta, interval, cut)
        bound, fallen = min(bound, finer), bound - finer
    return bound


def _bound_on(
    steps: Sequence[PoissonGaussian], delta: float, interval: float, cut: float
) -> tuple[float, int]:
    """Bound on a grid with this interval, and how many points the sum has there."""
    losses = [
        step_losses(step.sampling_rate, step.noise_multiplier, interval=interval, cut=cut) for step in steps
    ]
    sums = [
        composed(
            [Repeated(pair[relation], step.steps) for pair, step in zip(losses, steps, strict=True)],
            delta,
            _CUT * delta,
        )
        for relation in (0, 1)
    ]
    return max(total.epsilon(delta) for total in sums), max(len(total.probabilities) for total in sums)


def _as_steps(events: Iterable[Event]) -> list[PoissonGaussian]:
    """The events as steps. Gaussian mechanisms on all patients are one, since their precisions add up."""
    precision = 0.0
    steps = []
    for event in merge(events):
        noise = max(event.noise_multiplier, LEAST_NOISE)
        match event:
            case PoissonGaussian(sampling_rate=rate, steps=times) if rate < 1:
                steps.append(PoissonGaussian(rate, noise, times))
            case PoissonGaussian(steps=times) | Gaussian(count=times):
                precision += times / noise**2
    if precision:
        steps.append(PoissonGaussian(1.0, precision**-0.5, 1))
    return steps
