"""How much of an improvement in one loss arrives in another: transfer efficiency."""

from collections.abc import Sequence

import numpy as np

from analysis.arrays import Array
from analysis.comparison.curves import Efficiency, Side, paired_rows, tidy_curve
from analysis.comparison.efficiency import LEVELS
from analysis.fits.fit import Fit

_STEP = np.finfo(np.float64).eps ** (1 / 3)


def transfer_efficiency(fit: Fit, reference: Fit, levels: Sequence[float] = ()) -> Efficiency:
    """Slope of a group's loss-to-loss law by that of the reference, at the same L_x.

        (dL_y / dL_x)_group / (dL_y / dL_x)_reference,   dL_y / dL_x = K kappa (L_x - E_x)^(kappa - 1)

    The slope says how many nats a nat gained in L_x (say, on the training distribution) brings in L_y (say,
    on patients elsewhere). Above 1 the group passes on more of what it learns. The definition is ours: the
    paper that speaks of transfer efficiency (arXiv 2605.17276) publishes no equation for it.

    Parameters
    ----------
    fit, reference : Fit
        Of the ``loss-to-loss`` law.
    levels : sequence of float
        Further L_x, besides those over the range of both groups' runs; they may extrapolate.
    """
    ranges = [(one.sample.inputs[:, 0].min(), one.sample.inputs[:, 0].max()) for one in (fit, reference)]
    low, high = max(low for low, _ in ranges), min(high for _, high in ranges)
    common = np.geomspace(high, low, LEVELS) if low < high else np.empty(0)
    at = np.array(sorted({*common, *levels}, reverse=True))
    of_group, of_reference = paired_rows(_slopes(fit, at), _slopes(reference, at))
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = of_group / of_reference
    return Efficiency(
        kind="transfer",
        equation="(dL_y / dL_x)_group / (dL_y / dL_x)_reference at equal L_x",
        held={},
        curve=tidy_curve(at, _side(fit, at, of_group), _side(reference, at, of_reference), ratios),
        warnings=() if len(common) else (_nothing_common(fit, reference),),
    )


def _slopes(fit: Fit, at: Array) -> Array:
    """dL_y / dL_x (1 + R, m) by central differences."""
    law = fit.law
    theta = fit.solutions
    above, below = at * (1 + _STEP), at * (1 - _STEP)
    return (law.predict(above, theta) - law.predict(below, theta)) / (above - below)


def _side(fit: Fit, at: Array, slopes: Array) -> Side:
    seen = fit.sample.inputs[:, 0]
    reason = f"the law of {fit.group} is not defined below its E_x"
    return Side(
        fit,
        slopes,
        (at < seen.min()) | (at > seen.max()),
        ["" if np.isfinite(slope) else reason for slope in slopes[0]],
    )


def _nothing_common(*fits: Fit) -> str:
    seen = [(one.group, one.sample.inputs[:, 0]) for one in fits]
    ranges = " and ".join(f"{name} from {x.max():.4g} to {x.min():.4g}" for name, x in seen)
    return f"no common L_x for transfer efficiency: runs of {ranges}; add runs, or name a --level"
