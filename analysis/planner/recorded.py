"""What the runs themselves say of their arms and of how they were trained."""

from dataclasses import replace

import polars as pl

from analysis.planner.plan import Roles
from analysis.planner.schedule import Habits
from analysis.tables.arms import CENTRALISED, LOCAL
from analysis.tables.run_table import RunTable
from wardlaw.errors import RecordError

OWN = "Own model at home"


def with_own_models(table: RunTable, group: str, unit: str) -> RunTable:
    """With one more arm, where sites trained alone: each patient scored by the own site's model."""
    at_home = f"loss_at_home_per_{unit}"
    if at_home not in table.rows.columns:
        return table
    own = table.rows.filter(pl.col(at_home).is_not_null()).with_columns(
        pl.lit(OWN).alias(group), L=pl.col(at_home), run=pl.format("{} at home", "run")
    )
    return replace(table, rows=pl.concat([table.rows, own]))


def roles_of(arms: list[str], federated: str, centralised: str, local: str) -> Roles:
    """Roles of arms by their names: those that run records have, where nobody says others.

    Raises
    ------
    RecordError
        If the federated arm is not there.
    """
    centralised, local = centralised or CENTRALISED, local or LOCAL
    others = [arm for arm in arms if arm not in (centralised, local, OWN)]
    if not others or (federated and federated not in others):
        raise RecordError(
            f"there is no federated arm '{federated}'" if federated else "there is no federated arm",
            where="--federated",
            remedy=f"The runs have {', '.join(map(str, arms))}",
        )
    known = (arm if arm in arms else "" for arm in (centralised, local, OWN))
    return Roles(federated or others[0], *known)


def habits_of(rows: pl.DataFrame, batch_tokens: int | None, local_steps: int | None) -> Habits:
    """Batch, local steps and replicas that the runs were trained with, where nobody says others.

    Raises
    ------
    RecordError
        If the runs do not say, or differ.
    """
    return Habits(
        batch_tokens or _only(rows, "batch_tokens", "--batch-tokens"),
        local_steps or _only(rows, "H", "--local-steps"),
        _only(rows, "M", "--columns M=..."),
    )


def _only(rows: pl.DataFrame, column: str, option: str) -> int:
    values = (
        rows[column].drop_nulls().unique().sort() if column in rows.columns else pl.Series([], dtype=pl.Int64)
    )
    if len(values) != 1:
        found = f"several ({', '.join(map(str, values))})" if len(values) else "none"
        raise RecordError(
            f"the runs of the federated arm have {found} of {column}", where=option, remedy=f"Give {option}"
        )
    return int(values[0])
