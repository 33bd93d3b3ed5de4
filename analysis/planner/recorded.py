"""What the runs themselves say of their arms and of how they were trained."""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from analysis.planner.schedule import Habits
from analysis.tables.arms import CENTRALISED, LOCAL, arm_name
from analysis.tables.records import LOSSES_AT_HOME
from analysis.tables.run_table import RunTable
from wardlaw.config.model import ECG_FAMILIES
from wardlaw.errors import RecordError

# Tokens of private steps are drawn, and hardly the same in any two runs.
_NEAR = 1.05
OWN = "Own model at home"


@dataclass(frozen=True)
class Roles:
    """Which arm is which.

    Attributes
    ----------
    federated : str
        The arm that the plan is for.
    centralised, local, own : str
        Pooled training; sites alone, on everybody's patients; each site's own model on its own
        patients. Empty where there is none.
    """

    federated: str
    centralised: str = ""
    local: str = ""
    own: str = ""


def of_one_model(table: RunTable, group: str, federated: str) -> tuple[RunTable, str]:
    """Runs of the federated arm's ECG model, which others do not compare with, and the model's name.

    The table as it is, and no name, where it is not of run records of ECG.

    Parameters
    ----------
    table : RunTable
    group : str
        Column of the arms.
    federated : str
        Arm that the plan is for; where empty the first federated one.
    """
    ecg = pl.col("family").is_in(ECG_FAMILIES)
    if not table.measures or table.rows.filter(ecg).is_empty():
        return table, ""
    topology = pl.col(group).str.split(" ").list.first()
    is_planned = pl.col(group) == federated if federated else ~topology.is_in([CENTRALISED, LOCAL])
    planned = table.rows.filter(is_planned).select("family", "objective").head(1)
    kept = table.rows.join(planned, on=["family", "objective"], maintain_order="left")
    return replace(table, rows=kept), " ".join(planned.row(0)) if len(planned) else ""


def with_own_models(table: RunTable, group: str, unit: str) -> RunTable:
    """With one more arm, where sites trained alone: each patient scored by the own site's model."""
    at_home = LOSSES_AT_HOME[unit]
    if at_home not in table.rows.columns:
        return table
    own = table.rows.filter(pl.col(at_home).is_not_null()).with_columns(
        pl.lit(OWN).alias(group), L=pl.col(at_home), run=pl.format("{} at home", "run")
    )
    return replace(table, rows=pl.concat([table.rows, own]))


def roles_of(arms: list[str], asked: Roles, model: str = "") -> Roles:
    """Roles of arms: as asked, and where that is empty the names that run records give them.

    Parameters
    ----------
    arms : list of str
    asked : Roles
    model : str
        Name of the ECG model that the arms train; empty for others.

    Raises
    ------
    RecordError
        If an arm that was asked for is not there, or none is federated.
    """
    given = {"--federated": asked.federated, "--centralised": asked.centralised, "--local": asked.local}
    for option, name in given.items():
        if name and name not in arms:
            there = f"The runs have {', '.join(map(str, arms))}"
            raise RecordError(f"there is no arm '{name}'", where=option, remedy=there)
    # Arms of run records that are never federated, whatever role they are given.
    alone = (arm_name(CENTRALISED, model), arm_name(LOCAL, model), OWN)
    centralised, local, own = (
        name or (known if known in arms else "")
        for name, known in zip((asked.centralised, asked.local, asked.own), alone, strict=True)
    )
    named = [arm for arm in (asked.federated, centralised, local, own) if arm]
    if twice := [arm for arm in named if named.count(arm) > 1 or (arm == asked.federated and arm in alone)]:
        raise RecordError(f"the arm '{twice[0]}' cannot be the federated one as well", where="--federated")
    others = [arm for arm in arms if arm not in (centralised, local, own, *alone)]
    if not others:
        raise RecordError("there is no federated arm", where="--federated")
    return Roles(asked.federated or others[0], centralised, local, own)


def habits_of(rows: pl.DataFrame, batch_tokens: int | None, local_steps: int | None) -> Habits:
    """Batch, local steps, replicas and private draws of the runs, where nobody says others.

    Raises
    ------
    RecordError
        If the runs do not say, or differ.
    """
    for option, asked in (("--batch-tokens", batch_tokens), ("--local-steps", local_steps)):
        if asked is not None and asked < 1:
            raise RecordError(f"{asked} is not a positive whole number", where=option)
    return Habits(
        _only(rows, "batch_tokens", "--batch-tokens", _NEAR) if batch_tokens is None else batch_tokens,
        _only(rows, "H", "--local-steps") if local_steps is None else local_steps,
        _only(rows, "M", "--columns M=..."),
        _drawn_patients(rows) if batch_tokens is None else None,
    )


def _drawn_patients(rows: pl.DataFrame) -> int | None:
    if "batch_patients" not in rows.columns:
        return None
    drawn = rows["batch_patients"].drop_nulls().unique()
    return int(drawn[0]) if len(drawn) == 1 else None


def _only(rows: pl.DataFrame, column: str, option: str, within: float = 1.0) -> int:
    """The value of all runs, or the median of values that differ by no more than a factor ``within``."""
    values = (
        rows[column].drop_nulls().unique().sort() if column in rows.columns else pl.Series([], dtype=pl.Int64)
    )
    numbers = values.to_numpy()
    if not len(numbers) or numbers.max() > within * numbers.min():
        found = f"several ({', '.join(map(str, values))})" if len(values) else "none"
        raise RecordError(
            f"the runs of the federated arm have {found} of {column}", where=option, remedy=f"Give {option}"
        )
    return round(float(np.median(numbers)))
