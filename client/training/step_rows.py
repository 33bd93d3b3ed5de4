"""What several steps' rows say together."""

from collections.abc import Mapping, Sequence
from typing import Any


def mean_loss(rows: Sequence[Mapping[str, Any]]) -> float | None:
    """Mean training loss over the tokens of some steps; None if nobody took part in any.

    Examples
    --------
    >>> mean_loss([{"tokens": 3, "loss": 1.0}, {"tokens": 1, "loss": 5.0}, {"tokens": 0, "loss": None}])
    2.0
    """
    told = [row for row in rows if row["loss"] is not None]
    tokens = sum(row["tokens"] for row in told)
    return sum(row["tokens"] * row["loss"] for row in told) / tokens if tokens else None
