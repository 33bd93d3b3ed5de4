"""Records of all parts in the order and the splits that they have in a shard."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from client.ecg.classes import CLASSES, labels_of
from client.ecg.splits import splits_of
from wardlaw.errors import DataError

DUPLICATE = "duplicate"
"""Reason of a record whose signal another one has to the last bit."""


def arranged(rows: pl.DataFrame, seed: int, kept: Mapping[str, str]) -> pl.DataFrame:
    """Rows of `Parts` with ``labels`` and a ``split``, sorted by patient and name.

    Of records with one signal the first by patient and name is taken; the others get ``DUPLICATE``
    as their reason. The order of reading leaves no trace.

    Raises
    ------
    DataError
        If two records with different signals have one name.
    """
    rows = rows.sort("patient", "record", "reason", "detail")
    lost, read = rows.filter(pl.col("digest").is_null()), rows.filter(pl.col("digest").is_not_null())
    labels = np.array([labels_of(codes) for codes in read["diagnoses"]], np.uint8).reshape(-1, len(CLASSES))
    # Duplicates have their part in the splits: whoever shares a signal is one person, on one side.
    split = pl.Series("split", splits_of(read, labels, seed, kept).tolist(), pl.String)
    read = _told_apart(read.with_columns(split, pl.Series("labels", labels)))
    _refuse_repeated(read.filter(pl.col("reason").is_null())["record"])
    return pl.concat([read, lost], how="diagonal")


def _told_apart(read: pl.DataFrame) -> pl.DataFrame:
    """The records with a reason for those whose signal has come before."""
    again = pl.int_range(pl.len()).over("digest") > 0
    first = pl.col("record").first().over("digest")
    return read.with_columns(
        reason=pl.when(again).then(pl.lit(DUPLICATE)),
        detail=pl.when(again).then(pl.lit("same signal as ") + first),
    )


def _refuse_repeated(names: pl.Series) -> None:
    repeated = names.filter(names.is_duplicated())
    if len(repeated):
        raise DataError(
            f"two records are called {repeated[0]} and differ",
            remedy="Shard their folders one by one, or give them names of their own",
        )
