"""Scores of a run's models: together, and in words."""

from collections.abc import Mapping
from typing import Any

import polars as pl


def over_models(
    scores: pl.DataFrame, keys: tuple[str, ...], figures: tuple[str, ...], counts: tuple[str, ...]
) -> pl.DataFrame:
    """Mean of each figure over the models that answered the same.

    Parameters
    ----------
    scores : polars.DataFrame
        A row a model: ``keys``, ``figures`` with ``_low`` and ``_high``, ``counts``.
    keys, figures, counts : tuple of str

    Returns
    -------
    polars.DataFrame
        ``keys``, figures, the fewest of each count, ``models``; ``_low`` and ``_high`` are those of one
        model's interval, or the lowest and highest of several models.
    """
    one = pl.len() == 1
    ends = {
        f"{figure}_{end}": pl.when(one).then(pl.col(f"{figure}_{end}").first()).otherwise(extreme)
        for figure in figures
        for end, extreme in (("low", pl.col(figure).min()), ("high", pl.col(figure).max()))
    }
    return scores.group_by(keys, maintain_order=True).agg(
        pl.col(figures).mean(), pl.col(counts).min(), models=pl.len(), **ends
    )


def score_text(row: Mapping[str, Any], figure: str, decimals: int = 3) -> str:
    """A figure with its interval."""
    value, low, high = (row[f"{figure}{end}"] for end in ("", "_low", "_high"))
    if value is None:
        return "not defined (one class)"
    if low is None or high is None:
        return f"{value:.{decimals}f} (no interval)"
    return f"{value:.{decimals}f} ({low:.{decimals}f} to {high:.{decimals}f})"
