"""How well a private law predicts a size that it was not fitted to."""

from collections.abc import Mapping

import polars as pl

from analysis.fits.fitters import fit_by
from analysis.fits.predictions import held_out_errors
from analysis.laws.law import ScalingLaw
from analysis.solvers.objective import LOG_SQUARES
from analysis.tables.sample import take_sample
from wardlaw.errors import RecordError


def held_out_sizes(
    law: type[ScalingLaw], rows: pl.DataFrame, fixed: Mapping[str, float] | None
) -> pl.DataFrame:
    """Errors on each size in turn, of the law fitted to the others.

    The largest size is what a study extrapolates to; the others say how much hangs on one.

    Parameters
    ----------
    law : type of ScalingLaw
    rows : polars.DataFrame
        Runs by letters, with ``surface``.
    fixed : dict of str to float or None
        Parameters held.

    Returns
    -------
    polars.DataFrame
        A row a size: ``surface``, ``law``, ``parameters`` held out, ``is_largest``, ``runs`` held out,
        ``percent`` and ``largest_percent``: mean and largest |predicted - measured| of the loss; null
        with the ``reason`` where the other sizes do not determine the law.
    """
    sizes = sorted(rows["N"].unique())
    return pl.DataFrame(
        [
            {
                "surface": rows["surface"][0],
                "law": law.name,
                "parameters": size,
                "is_largest": size == sizes[-1],
                "runs": len(rows.filter(pl.col("N") == size)),
                **_errors(law(LOG_SQUARES), rows, size, fixed),
            }
            for size in sizes
        ],
        schema_overrides={"percent": pl.Float64, "largest_percent": pl.Float64, "reason": pl.String},
    )


def _errors(
    law: ScalingLaw, rows: pl.DataFrame, size: int, fixed: Mapping[str, float] | None
) -> dict[str, float | str | None]:
    fitted, held = (
        take_sample(rows.filter(chosen), law.inputs, law.target)
        for chosen in (pl.col("N") != size, pl.col("N") == size)
    )
    try:
        fit_by("newton", law, fitted, fixed=fixed)
    except RecordError as error:
        return {"percent": None, "largest_percent": None, "reason": error.what}
    found = held_out_errors(law, held.inputs, held.target)
    return {
        "percent": 100 * found.mean_relative_error,
        "largest_percent": 100 * found.largest_relative_error,
        "reason": None,
    }
