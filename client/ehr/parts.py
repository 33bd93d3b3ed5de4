"""Put one part's events in their final order."""

from collections.abc import Collection

import numpy as np
import polars as pl
from numpy.typing import NDArray


def sorted_part(events: pl.DataFrame, subjects: NDArray[np.int64], ranks: NDArray[np.uint32]) -> pl.DataFrame:
    """Events by subject and time, ties by a complete key.

    Ties are ordered by rank, then code in alphabetical order, then value, text and visit, so
    that no order of reading can show.

    Parameters
    ----------
    events : pl.DataFrame
        Of `client.ehr.spill.EVENT_SCHEMA`.
    subjects : (visits,) int64
        Subject of each visit.
    ranks : (codes,) uint32
        Alphabetical place of each code number.

    Returns
    -------
    pl.DataFrame
        The events, with ``subject_id``, with ``code`` as its alphabetical place, and ``order``
        (of rank and code) in place of ``rank``.
    """
    code = ranks[events["code"].to_numpy()]
    order = code + events["rank"].to_numpy().astype(np.int64) * len(ranks)
    subject = subjects[events["visit"].to_numpy()]
    columns = (pl.Series("subject_id", subject), pl.Series("code", code), pl.Series("order", order))
    events = events.drop("rank").with_columns(columns)
    texts = ["text_value"] if events["text_value"].null_count() < events.height else []
    return events.sort(["subject_id", "time", "order", "numeric_value", *texts, "visit"], nulls_last=False)


def told_once(events: pl.DataFrame, once: Collection[int]) -> pl.DataFrame:
    """Of equal events whose code is in ``once`` keep the first; they stand next to each other."""
    single = events["code"].is_in(sorted(once))
    if not single.any():
        return events
    columns = ("subject_id", "time", "order", "numeric_value")
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(1)) for name in columns)
    return events.filter(~(same & single))
