"""The letters of the literature, the columns that they are found in, and what follows from others."""

from collections.abc import Mapping

import polars as pl

from wardlaw.errors import RecordError

LETTERS = {
    "N": "parameters",
    "D": "training tokens",
    "C": "training FLOPs",
    "U": "unique training tokens",
    "T": "training steps",
    "M": "replicas or sites",
    "H": "local steps a round",
    "S": "noise-batch ratio",
    "P": "patients a step",
    "L": "loss",
}
# A metric or an error rate is what it is; of the rest only noise may be absent.
ANY_SIGN, MAY_BE_ZERO = frozenset({"err", "metric"}), frozenset({"S"})
# Found without being told, in this order; a column called by its letter always wins.
_COMMON_NAMES = {
    "N": ("parameters", "params", "n_params", "num_params"),
    "D": ("tokens", "n_tokens", "training_tokens"),
    "C": ("flops", "training_flops"),
    "U": ("unique_tokens",),
    "T": ("steps",),
    "M": ("replicas",),
    "H": ("local_steps",),
    "S": ("noise_batch_ratio",),
    "P": ("batch_patients",),
    "L": ("loss",),
    "run": ("run_id", "name"),
    "seed": (),
}


def name_letters(
    rows: pl.DataFrame, columns: Mapping[str, str], where: str
) -> tuple[pl.DataFrame, list[str]]:
    """The rows with a column a letter, and a note on where each came from.

    Raises
    ------
    RecordError
        If a column that was named is not there.
    """
    if missing := sorted(set(columns.values()) - set(rows.columns)):
        raise RecordError(
            f"there is no column {', '.join(missing)}",
            where=where,
            remedy=f"It has {', '.join(rows.columns)}",
        )
    chosen = dict(columns)
    for letter, names in _COMMON_NAMES.items():
        found = [name for name in (letter, *names) if name in rows.columns]
        if letter not in chosen and found:
            chosen[letter] = found[0]
    notes = [
        f"{letter} is the column '{name}'" for letter, name in chosen.items() if letter not in ("run", "seed")
    ]
    taken = rows.with_columns(**{letter: pl.col(name) for letter, name in chosen.items()})
    return taken, notes


def derive_letters(rows: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """C, D or N from the other two by C = 6ND where one is absent, and a note that says so.

    The estimate of Kaplan et al. 2020 (arXiv 2001.08361, section 2.1): no attention, no embeddings.
    """
    present = {letter for letter in "NDC" if letter in rows.columns and rows.schema[letter].is_numeric()}
    derivations = {
        "C": (6.0 * pl.col("N") * pl.col("D") if {"N", "D"} <= present else None),
        "D": (pl.col("C") / (6.0 * pl.col("N")) if {"N", "C"} <= present else None),
        "N": (pl.col("C") / (6.0 * pl.col("D")) if {"D", "C"} <= present else None),
    }
    formulas = {"C": "C = 6 N D", "D": "D = C / (6 N)", "N": "N = C / (6 D)"}
    for letter, expression in derivations.items():
        if letter not in rows.columns and expression is not None:
            note = f"{letter} was not in the table and is derived: {formulas[letter]}"
            return rows.with_columns(expression.alias(letter)), [note]
    return rows, []


def below_least(letter: str) -> pl.Expr:
    """Which rows have less of a letter than there can be."""
    value = pl.col(letter).cast(pl.Float64)
    if letter in ANY_SIGN:
        return pl.lit(value=False)
    return value < 0 if letter in MAY_BE_ZERO else value <= 0


def no_number(values: pl.Series) -> object:
    """The first value that makes a column one of something else than numbers."""
    numbers = values.cast(pl.Float64, strict=False) if values.dtype == pl.String else values
    odd = values.filter(numbers.is_null() & values.is_not_null())
    return odd[0] if len(odd) else values[0]
