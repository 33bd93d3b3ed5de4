"""How much less one group takes to a loss than another: parameters, tokens and compute.

The definitions are ours. Papers that speak of parameter or data efficiency (arXiv 2605.17276) publish no
equation for them; a ratio at equal loss fits their wording, "k times more efficient".
"""

from collections.abc import Mapping, Sequence

import numpy as np

from analysis.arrays import Array
from analysis.comparison.curves import Efficiency, Side, paired_rows, tidy_curve
from analysis.comparison.reach import Reach, reach
from analysis.fits.fit import Fit

LEVELS = 15
_KINDS = {"parameter": "N", "data": "D", "compute": "C"}


def input_efficiencies(
    fit: Fit, reference: Fit, held: Mapping[str, float] | None = None, levels: Sequence[float] = ()
) -> list[Efficiency]:
    """Parameter, data and compute efficiency, as far as the law has those inputs.

    The efficiency of a group at a loss L is how many times less than the reference it takes to it:

        N_reference(L) / N_group(L)    parameters, D and the law's other inputs held
        D_reference(L) / D_group(L)    tokens, N and the law's other inputs held
        C_reference(L) / C_group(L)    compute, along min over N of L(N, C / (6 N)), or a law's own C

    where x_group(L) is the input at which the group's fitted curve passes L. Above 1 the group is the more
    efficient. Levels lie in the range of losses that both groups' runs reach on their curves.

    Parameters
    ----------
    fit, reference : Fit
        Of the same law.
    held : dict of str to float, optional
        Where to hold inputs; the others are held at the largest value that both groups' runs reach.
    levels : sequence of float
        Further losses to judge at; those may extrapolate.
    """
    inputs = fit.law.inputs
    at = {name: _largest_common(fit, reference, name) for name in inputs} | dict(held or {})
    has_frontier = {"N", "D"} <= set(inputs)
    return [
        _efficiency(kind, letter, (fit, reference), at, levels)
        for kind, letter in _KINDS.items()
        if letter in inputs or (letter == "C" and has_frontier)
    ]


def _largest_common(fit: Fit, reference: Fit, name: str) -> float:
    place = fit.law.inputs.index(name)
    return float(min(one.sample.inputs[:, place].max() for one in (fit, reference)))


def _efficiency(
    kind: str, letter: str, fits: tuple[Fit, Fit], at: Mapping[str, float], further: Sequence[float]
) -> Efficiency:
    inputs = fits[0].law.inputs
    moving = {letter} if letter in inputs else {"N", "D"}
    group, reference = (reach(fit, letter, at) for fit in fits)
    common = _common_losses(group, reference)
    levels = np.array(sorted({*common, *further}, reverse=True))
    of_group, of_reference = paired_rows(group.needs(levels), reference.needs(levels))
    with np.errstate(invalid="ignore", over="ignore"):
        ratios = np.exp(of_reference - of_group)
    sides = (_side(group, of_group, letter), _side(reference, of_reference, letter))
    return Efficiency(
        kind=kind,
        equation=f"{letter}_reference(L) / {letter}_group(L)",
        held={name: at[name] for name in inputs if name not in moving},
        curve=tidy_curve(levels, *sides, ratios),
        warnings=() if len(common) else (_nothing_common(kind, group, reference),),
    )


def _common_losses(group: Reach, reference: Reach) -> Array:
    """Levels over the losses that both reach, from the highest, evenly spaced in the log."""
    low = max(group.reached[0], reference.reached[0])
    high = min(group.reached[1], reference.reached[1])
    return np.geomspace(high, low, LEVELS) if low < high else np.empty(0)


def _nothing_common(kind: str, *reaches: Reach) -> str:
    spans = (f"{one.fit.group} from {one.reached[1]:.4g} to {one.reached[0]:.4g}" for one in reaches)
    return (
        f"no common losses for {kind} efficiency: the fitted curves take {' and '.join(spans)}; add runs of "
        "the poorer group at larger inputs, or name a --level to extrapolate to"
    )


def _side(one: Reach, logs: Array, letter: str) -> Side:
    name = one.fit.group
    why = {
        np.inf: f"{name} never gets so low, however large its {letter}",
        -np.inf: f"{name} is below it however small its {letter}",
    }
    otherwise = f"the curve of {name} does not fall with {letter}"
    reasons = ["" if np.isfinite(log) else why.get(float(log), otherwise) for log in logs[0]]
    return Side(one.fit, np.exp(logs), one.extrapolates(logs), reasons)
