"""Rows of one point that are a sweep over something, and not seeds."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from analysis.tables.columns import LETTERS

UNRECORDED = "nothing that is recorded"


def swept_columns(rows: pl.DataFrame, cells: NDArray[np.str_], target: str) -> tuple[str, ...]:
    """Columns that tell rows of one point and seed apart; empty where rows of a point are seeds.

    A setting such as a learning rate has fewer values than runs: one each for two runs or more. A column
    with more is taken for a measurement or a name, and so is a rate that is drawn anew for each run. Rows
    of one seed that no column tells apart differ in ``UNRECORDED``.

    Parameters
    ----------
    rows : polars.DataFrame
        With a column ``seed`` if seeds are known.
    cells : ndarray (n,) of str
        Name of the point of each row.
    target : str
        Column of what is fitted.
    """
    knows_seeds = "seed" in rows.columns and bool(rows["seed"].is_not_null().any())
    seeds = rows["seed"] if knows_seeds else pl.repeat(0, len(rows), eager=True)
    places = pl.DataFrame({"point": cells, "seed": seeds}).to_struct("place")
    if not places.is_duplicated().any():
        return ()
    measured = {"run", "seed", target, *LETTERS}
    swept = tuple(
        column.name
        for column in rows
        if column.name not in measured
        and 2 * column.n_unique() <= len(rows)
        and not column.equals(rows[target])
        and pl.DataFrame([places, column.alias("value")]).n_unique() > places.n_unique()
    )
    return swept or ((UNRECORDED,) if knows_seeds else ())
