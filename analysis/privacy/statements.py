"""Epsilon of private runs, from the statements of privacy in their records."""

import logging
import math
from dataclasses import dataclass
from typing import Any

import polars as pl

from analysis.tables.records import Runs
from analysis.wording import significant
from wardlaw.errors import RecordError
from wardlaw.privacy.epsilon import epsilon_json, epsilon_text
from wardlaw.privacy.statement import PrivacyStatement
from wardlaw.privacy.statement_files import STATEMENT_FILE, load_statement

_logger = logging.getLogger(__name__)
_EPSILONS = ("epsilon", "stands_for_epsilon")
_MAY_LACK = {
    **dict.fromkeys(("epsilon", "delta", "stands_for_epsilon"), pl.Float64()),
    **dict.fromkeys(("patients", "most_patients"), pl.Int64()),
}


@dataclass(frozen=True)
class Setting:
    """What an epsilon holds for, besides the noise.

    Attributes
    ----------
    patients : int
        n, train patients of a site.
    batch_patients : int
        B, of which a step draws so many on average.
    steps : int
        T.
    delta : float
    """

    patients: int
    batch_patients: int
    steps: int
    delta: float


def stated_epsilons(runs: Runs) -> pl.DataFrame:
    """What the statements of private runs say, a row a surface, ratio and setting.

    Epsilon is the largest of a run's sites', so that of the site with the fewest patients, whose number
    is ``patients``; for other numbers of patients it is another one.

    Returns
    -------
    polars.DataFrame
        ``surface``, ``ratio``, ``epsilon`` (infinity where it is more than any that is told as a
        number, null where not told), ``delta``,
        ``patients`` (null where not told), ``most_patients``, ``batch_patients``, ``steps``, ``unit``,
        ``stands_for``, ``stands_for_epsilon``, ``runs``; empty without statements.
    """
    rows = [
        _row(row, statement)
        for row in runs.table.filter(pl.col("noise") != "").iter_rows(named=True)
        if (statement := _statement(runs, row["run"])) is not None
    ]
    if not rows:
        return pl.DataFrame()
    table = pl.DataFrame(rows, schema_overrides=_MAY_LACK)
    keys = [name for name in table.columns if name != "run"]
    return table.group_by(keys, maintain_order=True).agg(runs=pl.len())


def epsilon_words(epsilon: float | None) -> str:
    """A stated epsilon as text."""
    if epsilon is None:
        return "not told"
    return significant(epsilon) if math.isfinite(epsilon) else epsilon_text(epsilon)


def stated_json(stated: pl.DataFrame) -> list[dict[str, Any]]:
    """``stated_epsilons`` for JSON."""
    return [
        row | {name: epsilon_json(row[name]) for name in _EPSILONS if row[name] is not None}
        for row in stated.to_dicts()
    ]


def stated_setting(stated: pl.DataFrame, surface: str) -> Setting | None:
    """Setting of a surface's runs with most steps that their statements tell; None where none does."""
    if stated.is_empty():
        return None
    told = stated.filter(pl.col("surface") == surface).drop_nulls(["patients", "delta"])
    # A stand-in's own n, B and T are of no deployment.
    told = told.filter(pl.col("stands_for") == 1).sort("steps", descending=True)
    if told.is_empty():
        return None
    return Setting(*told.select("patients", "batch_patients", "steps", "delta").row(0))


def _statement(runs: Runs, run: str) -> PrivacyStatement | None:
    folder = runs.records[run].folder
    if not (folder / STATEMENT_FILE).exists():
        return None
    try:
        return load_statement(folder)
    except RecordError as error:
        _logger.warning("%s is left out: %s", folder / STATEMENT_FILE, error.what)
        return None


def _row(row: dict[str, object], statement: PrivacyStatement) -> dict[str, object]:
    patients = [site.patients for site in statement.sites if site.patients is not None]
    told = len(patients) == len(statement.sites) > 0
    return {
        "surface": row["surface"],
        "ratio": row["noise_batch_ratio"],
        "epsilon": statement.epsilon,
        "delta": statement.delta,
        "patients": min(patients) if told else None,
        "most_patients": max(patients) if told else None,
        "batch_patients": row["batch_patients"],
        "steps": row["steps"],
        "unit": statement.unit,
        "stands_for": statement.stands_for,
        "stands_for_epsilon": statement.stands_for_epsilon,
    }
