"""Put one part's events in their final order."""

from collections.abc import Set

import numpy as np
import polars as pl
from numpy.typing import NDArray


def sorted_part(events: pl.DataFrame, subjects: NDArray[np.int64], ranks: NDArray[np.int64]) -> pl.DataFrame:
    """Events by subject and time, ties by a complete key.

    Ties are ordered by rank, then code in alphabetical order, then value, text and visit, so
    that no order of reading can show.

    Parameters
    ----------
    events : pl.DataFrame
        Of `client.ehr.spill.EVENT_SCHEMA`.
    subjects : (visits,) int64
        Subject of each visit.
    ranks : (codes,) int64
        Alphabetical place of each code number.

    Returns
    -------
    pl.DataFrame
        The events, with ``subject_id`` and ``order`` (of rank and code) in place of ``rank``.
    """
    order = ranks[events["code"].to_numpy()] + events["rank"].to_numpy().astype(np.int64) * len(ranks)
    subject = subjects[events["visit"].to_numpy()]
    events = events.drop("rank").with_columns(pl.Series("subject_id", subject), pl.Series("order", order))
    texts = ["text_value"] if events["text_value"].null_count() < events.height else []
    return events.sort(["subject_id", "time", "order", "numeric_value", *texts, "visit"], nulls_last=False)


def told_once(events: pl.DataFrame, once: Set[int]) -> pl.DataFrame:
    """Of equal events whose code is in ``once`` keep the first; they stand next to each other."""
    single = events["code"].is_in(sorted(once))
    if not single.any():
        return events
    columns = ("subject_id", "time", "order", "numeric_value")
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(1)) for name in columns)
    return events.filter(~(same & single))
