"""How a law is fitted to the runs of one group, by name."""

from collections.abc import Callable, Mapping

from analysis.laws.law import ScalingLaw
from analysis.laws.power_sum import PowerSum
from analysis.solvers.objective import SQUARES
from analysis.tables.sample import Sample
from wardlaw.errors import RecordError

Given = Mapping[str, float] | None
Fitter = Callable[[ScalingLaw, Sample, Given, Given], object]


def newton(law: ScalingLaw, sample: Sample, fixed: Given, start: Given) -> None:
    """Damped Newton, from the law's grid or from one start."""
    if start:
        law.fit_from(start, sample.inputs, sample.target, weight=sample.weight, fixed=fixed)
    else:
        law.fit(sample.inputs, sample.target, weight=sample.weight, fixed=fixed)


def projection(law: ScalingLaw, sample: Sample, fixed: Given, start: Given) -> None:
    """Variable projection: least squares of a sum of powers."""
    if not isinstance(law, PowerSum):
        raise RecordError(
            f"the {law.name} law is not a sum of powers, so its coefficients cannot be projected out",
            where="--fitter",
            remedy="Use --fitter newton",
        )
    if law.objective not in (SQUARES, law.default_objective):
        raise RecordError(
            f"variable projection minimises {SQUARES}",
            where="--objective",
            remedy="Leave it out, or use --fitter newton",
        )
    if fixed or start:
        raise RecordError(
            "variable projection takes neither parameters to hold nor a start",
            where="--fitter",
            remedy="Use --fitter newton",
        )
    law.fit_projected(sample.inputs, sample.target, weight=sample.weight)


FITTERS: dict[str, Fitter] = {"newton": newton, "projection": projection}


def fit_by(
    name: str,
    law: ScalingLaw,
    sample: Sample,
    *,
    fixed: Given = None,
    start: Given = None,
    source: str = "",
) -> None:
    """Fit a law to the runs of one group, without intervals.

    Parameters
    ----------
    name : str
        In ``FITTERS``.
    law : ScalingLaw
        Not fitted yet.
    sample : Sample
        With the law's inputs and target.
    fixed : dict of str to float, optional
        Parameters to hold.
    start : dict of str to float, optional
        One start instead of the law's grid.
    source : str
        Where the runs came from, for errors.

    Raises
    ------
    RecordError
        If the runs cannot determine the law, naming the group, or the fitter is not one for it.
    """
    if name not in FITTERS:
        raise RecordError(
            f"there is no fitter '{name}'", where="--fitter", remedy=f"Use one of {', '.join(FITTERS)}"
        )
    try:
        _refuse_constant(law, sample)
        FITTERS[name](law, sample, fixed, start)
    except RecordError as error:
        place = ", ".join(part for part in (source, sample.group, error.where) if part)
        raise RecordError(error.what, where=place, remedy=error.remedy) from None


def _refuse_constant(law: ScalingLaw, sample: Sample) -> None:
    if sample.rows > 1 and (sample.target == sample.target[0]).all():
        raise RecordError(
            f"all {sample.rows} runs have the same {law.target} ({sample.target[0]:g}): nothing to fit",
            remedy="Look at the column: is it the one that was meant?",
        )
