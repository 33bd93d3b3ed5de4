"""What a site gains by joining: the federated model against the sites' own on their own patients."""

from dataclasses import dataclass

import numpy as np

from analysis.fits.fit import determines_exponent
from analysis.planner.arm import Arm
from analysis.planner.size import SizeChoice
from analysis.uncertainty.flat_optimum import exponent_names
from analysis.uncertainty.intervals import Interval, percentile_interval

_AGAINST = (
    "each site's own model of the plan's size, trained on D / M tokens and scored on the site's own patients"
)


@dataclass(frozen=True)
class Joining:
    """Per cent by which an arm's loss lies below the sites' own models'; positive is better.

    Attributes
    ----------
    arm : str
        Of the model that joining gives.
    gain : Interval
        Against own models of the plan's size and tokens: 100 (1 - L_joined / L_own).
    gain_on_best : Interval or None
        Against own models of the size and tokens that are best for a site alone at the same compute, in
        reach of the runs; None where the budget does not pay for any.
    best_size, best_tokens : float or None
        Of those, tokens of all sites together.
    cautions : tuple of str
        Doubts of either law.
    against : str
        What an own model is.
    """

    arm: str
    gain: Interval
    gain_on_best: Interval | None
    best_size: float | None
    best_tokens: float | None
    cautions: tuple[str, ...]
    against: str = _AGAINST


def joining(arm: Arm, own: Arm, choice: SizeChoice, best: SizeChoice | None) -> Joining | None:
    """The gain with its interval, from paired replicates.

    Parameters
    ----------
    arm, own : Arm
        What joining gives, and each site's own model at home.
    choice : SizeChoice
        The plan's.
    best : SizeChoice or None
        What a site alone would choose.

    Returns
    -------
    Joining or None
        None where either arm has no law at the choice.
    """
    if not (arm.knows(choice.tokens) and own.knows(choice.tokens)):
        return None
    return Joining(
        arm=arm.name,
        gain=_gain(arm, own, choice, choice),
        gain_on_best=_gain(arm, own, choice, best) if best else None,
        best_size=best.size if best else None,
        best_tokens=best.tokens if best else None,
        cautions=tuple(f"{one.name}: {doubt}" for one in (arm, own) for doubt in _doubts(one)),
    )


def _gain(arm: Arm, own: Arm, choice: SizeChoice, alone: SizeChoice) -> Interval:
    ours = np.array([choice.size]), np.array([choice.tokens])
    theirs = np.array([alone.size]), np.array([alone.tokens])
    estimate = float(100 * (1 - arm.losses(*ours) / own.losses(*theirs))[0])
    drawn, drawn_own = arm.replicates(*ours), own.replicates(*theirs)
    if drawn is None or drawn_own is None or len(drawn) != len(drawn_own):
        return Interval(estimate, None, None)
    degrees = min(one.fit.resamples.degrees for one in (arm, own) if one.fit.resamples)
    return percentile_interval(estimate, 100 * (1 - drawn / drawn_own)[:, 0], degrees)


def _doubts(arm: Arm) -> list[str]:
    fit = arm.fit
    found = []
    if fit.is_misfit:
        found.append("its law misses its runs by more than seed noise explains")
    flat = [
        name
        for name in exponent_names(fit.law)
        if fit.intervals[name].low is not None and not fit.intervals[name].excludes_zero
    ]
    if flat or not determines_exponent(fit):
        found.append(f"its runs do not determine {', '.join(flat) or 'its law'}")
    return found
