"""The private laws against each other on the runs of one surface, and against their own special cases."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from scipy.stats import f as fisher

from analysis.fits.fit import Fit
from analysis.laws.law import ScalingLaw
from analysis.laws.private_draws import PrivateDraws
from analysis.laws.private_sigmoid import PrivateSigmoid
from analysis.privacy.surface import PrivateSurface

_PAPER = {"S0": float(np.exp(-8.0)), "gamma1": 1 / 1.6}
CASES: Mapping[type[ScalingLaw], Mapping[str, Mapping[str, float]]] = {
    PrivateDraws: {"c = 0": {"c": 0.0}, "sigmoid of arXiv 2501.18914": _PAPER},
    PrivateSigmoid: {"sigmoid of arXiv 2501.18914": _PAPER},
}
"""Special cases of a law: what they hold, by name."""


def compare_laws(surface: PrivateSurface) -> pl.DataFrame:
    """How far each law is off its own runs, and whether a special case is off by more than chance.

    Parameters
    ----------
    surface : PrivateSurface

    Returns
    -------
    polars.DataFrame
        A row a law and special case: ``surface``, ``law``, ``case`` (empty for the law itself), ``free``
        parameters, ``runs``, ``percent`` (root mean square residual with the parameters taken off),
        ``aic`` (Akaike's n log(RSS / n) + 2 k: to be compared between laws of equally many runs),
        ``lack_of_fit_p`` and ``p``: of the F test of a case against its law, least squares of the logs.
    """
    found = [row for fit in surface.fits for row in _rows(surface.name, fit)]
    schema = {"lack_of_fit_p": pl.Float64, "p": pl.Float64, "percent": pl.Float64}
    return pl.DataFrame(found, schema_overrides=schema) if found else pl.DataFrame()


def _rows(surface: str, fit: Fit) -> list[dict[str, Any]]:
    law, sample = fit.law, fit.sample
    whole = _row(surface, law, "") | {"lack_of_fit_p": fit.misfit}
    told = [whole]
    for name, held in CASES.get(type(law), {}).items():
        case = type(law)(law.objective).fit(sample.inputs, sample.target, fixed={**law.fixed_, **held})
        told.append(_row(surface, case, name) | {"p": _f_test(case, law)})
    return told


def _row(surface: str, law: ScalingLaw, case: str) -> dict[str, Any]:
    free = _free(law)
    squares = max(2 * law.objective_, np.finfo(np.float64).tiny)
    return {
        "surface": surface,
        "law": law.name,
        "case": case,
        "free": free,
        "runs": law.n_,
        "percent": 100 * float(np.sqrt(squares / (law.n_ - free))) if law.n_ > free else None,
        "aic": law.n_ * float(np.log(squares / law.n_)) + 2 * free,
        "lack_of_fit_p": None,
        "p": None,
    }


def _f_test(case: ScalingLaw, law: ScalingLaw) -> float | None:
    """p-value of the case against the law, of Gaussian residuals of the log loss."""
    spare, held = law.n_ - _free(law), _free(law) - _free(case)
    if spare < 1 or law.objective_ <= 0:
        return None
    statistic = (case.objective_ - law.objective_) / held / (law.objective_ / spare)
    return float(fisher.sf(statistic, held, spare))


def _free(law: ScalingLaw) -> int:
    return len(law.parameters) - len(law.fixed_)
