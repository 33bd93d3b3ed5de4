"""Prices of epsilon as a reader sees them."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from analysis.uncertainty.interval_text import interval_text
from analysis.uncertainty.intervals import Interval


def above_text(row: Mapping[str, Any]) -> str:
    """Per cent above no noise, with its interval; empty where no run is without noise.

    Examples
    --------
    >>> above_text({"percent": 7.1, "percent_low": 6.3, "percent_high": 8.1, "bound": ""})
    '7.1 % (6.3 to 8.1)'
    >>> above_text({"percent": 17.0, "percent_low": 16.2, "percent_high": 17.8, "bound": "more than"})
    'more than 17.0 % (16.2 to 17.8)'
    """
    if row["percent"] is None:
        return ""
    interval = Interval(row["percent"], row["percent_low"], row["percent_high"])
    return f"{row['bound']} {interval_text(interval, unit=' %')}".strip()


def batch_note(prices: pl.DataFrame) -> list[str]:
    """What must be said of the batch and the steps of prices of one setting."""
    found = [f"EXTRAPOLATED: {text}" for text in prices["extrapolated"].unique(maintain_order=True) if text]
    untold = prices.filter(~pl.col("batch_told"))
    if not untold.is_empty():
        found.append(
            "The batch is not told: this law reads S alone, and these are costs at "
            f"{untold['law_batch'][0]:,} patients a step; at equal S a larger batch pays more"
        )
    return found
