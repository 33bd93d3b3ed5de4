"""Put one part's events in their final order."""

from collections.abc import Set

import numpy as np
import polars as pl
from numpy.typing import NDArray


def sorted_part(
    events: pl.DataFrame, visits: pl.DataFrame, ranks: NDArray[np.int64], extensions: tuple[str, ...]
) -> pl.DataFrame:
    """Events by subject and time, ties by a complete key.

    Ties are ordered by rank, then code in alphabetical order, then value, text and visit, so
    that no order of reading can show.

    Parameters
    ----------
    events : pl.DataFrame
        Of `client.ehr.spill.EVENT_SCHEMA`.
    visits : pl.DataFrame
        ``subject`` and the extensions, by visit number.
    ranks : (codes,) int64
        Alphabetical place of each code number.
    extensions : tuple of str

    Returns
    -------
    pl.DataFrame
        The events with ``subject_id``, ``order`` and the extensions.
    """
    visit = events["visit"]
    order = pl.Series("order", ranks[events["code"].to_numpy()]) + events["rank"].cast(pl.Int64) * len(ranks)
    events = events.with_columns(visits["subject"].gather(visit).alias("subject_id"), order)
    keys = ["subject_id", "time", "order", "numeric_value"]
    if events["text_value"].null_count() < events.height:
        keys.append("text_value")
    events = events.sort([*keys, "visit"], nulls_last=False)
    return events.with_columns(visits[name].gather(events["visit"]) for name in extensions)


def told_once(events: pl.DataFrame, once: Set[int]) -> pl.DataFrame:
    """Of equal events whose code is in ``once`` keep the first; they stand next to each other."""
    columns = ("subject_id", "time", "order", "numeric_value")
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(1)) for name in columns)
    return events.filter(~(same & pl.col("code").is_in(sorted(once))))
