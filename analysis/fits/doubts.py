"""What may be wrong with a fit, in sentences that stand in its result."""

from collections.abc import Mapping

import numpy as np

from analysis.laws.law import ScalingLaw
from analysis.tables.sample import Sample
from analysis.uncertainty.bootstrap import Resamples, SeedNoise
from analysis.uncertainty.flat_optimum import exponent_names, undetermined_exponents
from analysis.uncertainty.intervals import Interval
from analysis.uncertainty.without_effect import without_effect

MISFIT_LEVEL = 0.05
_FEW_DEGREES = 10


def doubts_of_runs(
    law: ScalingLaw, sample: Sample, resamples: Resamples | None, noise: SeedNoise, misfit: float | None
) -> list[str]:
    """What the runs were too few for, or do not follow."""
    found = []
    free, points = len(law.parameters) - len(law.fixed_), len(np.unique(sample.inputs, axis=0))
    if points == free:
        found.append(f"{points} points for {free} parameters: the curve passes through them whatever the law")
    if sample.sweeps:
        found.append(
            f"runs of one point differ in {', '.join(sample.sweeps)}: they are no seeds, and "
            "the noise between seeds is unknown; name a column of seeds, or fit one group at a time"
        )
    if resamples is None:
        found.append(f"no bootstrap: {_replicated(sample)}, and fewer than 20 runs are too few to draw whole")
    elif noise.degrees and noise.degrees < _FEW_DEGREES:
        found.append(f"seed noise rests on {noise.degrees} degrees of freedom")
    if misfit is not None and misfit < MISFIT_LEVEL:
        found.append(
            "the law misses the sizes' means by more than seed noise explains; its intervals hold seed noise "
            "only"
        )
    return found


def _replicated(sample: Sample) -> str:
    """How many points have seeds, where these are too few to draw from."""
    twice = sample.cells[sample.seeds_at_point > 1]
    points, replicated = len(np.unique(sample.cells)), len(np.unique(twice))
    if not replicated or sample.sweeps or sample.has_checkpoints:
        return "no size has two seeds"
    return (
        f"two seeds at {replicated} of {points} sizes, which must be two and half of them at least, the "
        "smallest and the largest among them"
    )


def doubts_of_parameters(law: ScalingLaw, sample: Sample, intervals: Mapping[str, Interval]) -> list[str]:
    """Parameters that the runs do not determine, and a solver that did not end."""
    found = [
        f"the interval of {name} includes 0: no scaling was shown"
        for name in exponent_names(law)
        if intervals[name].low is not None and not intervals[name].excludes_zero
    ]
    found += [
        f"{name} could be 10 % larger or smaller at the same objective, which is flat between seeds: use "
        "--objective squares-log"
        for name in undetermined_exponents(law)
    ]
    if not law.convergence_.converged:
        found.append("the fitter did not meet its stopping test")
    found += [
        f"{name} went to a limit where no prediction depends on it"
        for name in without_effect(law, sample.inputs)
    ]
    return found
