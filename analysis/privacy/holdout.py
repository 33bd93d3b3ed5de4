"""How well a private law predicts a size, or a batch, that it was not fitted to."""

from collections.abc import Mapping

import polars as pl

from analysis.fits.fitters import fit_by
from analysis.fits.predictions import held_out_errors
from analysis.laws.law import ScalingLaw
from analysis.solvers.objective import LOG_SQUARES
from analysis.tables.sample import take_sample
from wardlaw.errors import RecordError

# What a law is without its term of the budget: of no consequence where all runs had the same.
_ONE_BUDGET = {"B": 0.0, "beta": 1.0}


def held_parameters(law: type[ScalingLaw], rows: pl.DataFrame) -> Mapping[str, float] | None:
    """The term of the budget where all runs had one; None where it is fitted.

    More patients a step are more tokens, but no more steps.
    """
    if rows["steps"].n_unique() > 1:
        return None
    alike = "T" in law.inputs or rows["batch_patients"].drop_nulls().n_unique() <= 1
    return _ONE_BUDGET if alike else None


def held_out_values(law: type[ScalingLaw], rows: pl.DataFrame, letter: str) -> pl.DataFrame:
    """Errors on the runs of each value of a letter in turn, of the law fitted to the others.

    The largest is what a study extrapolates to; the others say how much hangs on one. Only runs of as many
    steps as some others are judged.

    Parameters
    ----------
    law : type of ScalingLaw
    rows : polars.DataFrame
        Runs by letters, with ``surface``, ``steps`` and ``batch_patients``.
    letter : str
        N for sizes, P for patients a step.

    Returns
    -------
    polars.DataFrame
        A row a value, none where there is only one: ``surface``, ``law``, ``letter``, ``value`` held out,
        ``is_largest``, ``runs`` judged, ``percent`` and ``largest_percent``: mean and largest
        |predicted - measured| of the loss; null with the ``reason`` where the other runs do not determine
        the law.
    """
    values = sorted(rows[letter].drop_nulls().unique())
    if len(values) == 1:
        return pl.DataFrame()
    return pl.DataFrame(
        [
            {
                "surface": rows["surface"][0],
                "law": law.name,
                "letter": letter,
                "value": value,
                "is_largest": value == values[-1],
                **_errors(law, rows, pl.col(letter).eq_missing(value)),
            }
            for value in values
        ],
        schema_overrides={"percent": pl.Float64, "largest_percent": pl.Float64, "reason": pl.String},
    )


def _errors(law: type[ScalingLaw], rows: pl.DataFrame, held: pl.Expr) -> dict[str, float | str | None]:
    others = rows.filter(~held)
    judged = rows.filter(held, pl.col("steps").is_in(others["steps"].unique().implode()))
    nothing: dict[str, float | str | None] = {"runs": len(judged), "percent": None, "largest_percent": None}
    if judged.is_empty():
        return nothing | {"reason": "no other run has as many steps"}
    fitted, unknown = law(LOG_SQUARES), take_sample(judged, law.inputs, law.target)
    try:
        fit_by(
            "newton", fitted, take_sample(others, law.inputs, law.target), fixed=held_parameters(law, others)
        )
    except RecordError as error:
        return nothing | {"reason": error.what}
    found = held_out_errors(fitted, unknown.inputs, unknown.target)
    return nothing | {
        "percent": 100 * found.mean_relative_error,
        "largest_percent": 100 * found.largest_relative_error,
        "reason": None,
    }
