"""Clinical tasks as MEDS labels: who, when, and whether it happened.

A label may use what happens after its prediction time; a prediction may use only
what stands in the record up to and including it (the MEDS label schema's meaning).
"""

from dataclasses import dataclass
from datetime import timedelta

import polars as pl

ADMISSION = "HOSPITAL_ADMISSION"
DISCHARGE = "HOSPITAL_DISCHARGE"
DEATH = "MEDS_DEATH"


@dataclass(frozen=True)
class Task:
    """A binary question asked at a moment of a hospital stay.

    Attributes
    ----------
    name : str
    trigger : str
        First part of the code of the event that the question follows.
    delay : timedelta
        Time from that event to the prediction.
    outcome, end : str
        The answer is yes if ``outcome`` comes after the prediction and not later than
        the first ``end``, or than ``horizon``.
    horizon : timedelta or None
    """

    name: str
    trigger: str
    delay: timedelta
    outcome: str
    end: str | None
    horizon: timedelta | None


IN_HOSPITAL_MORTALITY = Task("in_hospital_mortality", ADMISSION, timedelta(hours=24), DEATH, DISCHARGE, None)
READMISSION_30_DAYS = Task(
    "readmission_30_days", DISCHARGE, timedelta(0), ADMISSION, None, timedelta(days=30)
)
TASKS = {task.name: task for task in (IN_HOSPITAL_MORTALITY, READMISSION_30_DAYS)}


def label_task(events: pl.DataFrame, task: Task) -> pl.DataFrame:
    """Labels of a task in the MEDS label schema.

    Parameters
    ----------
    events : DataFrame
        MEDS columns ``subject_id``, ``time``, ``code``; static rows are ignored.
    task : Task

    Returns
    -------
    DataFrame
        ``subject_id``, ``prediction_time``, ``boolean_value``, sorted. A stay that
        ended (``end`` or ``outcome``) by the prediction time has no label; nor has a
        discharge by death for readmission, nor a stay whose end is not in the record.
    """
    timed = events.filter(pl.col("time").is_not_null()).select(
        "subject_id", "time", kind=pl.col("code").str.split("//").list.first()
    )
    asked = (
        timed.filter(pl.col("kind") == task.trigger)
        .select("subject_id", trigger_time="time", prediction_time=pl.col("time") + task.delay)
        .unique()
    )
    asked = _next_time(asked, timed, task.outcome, "outcome_time")
    asked = (
        _next_time(asked, timed, task.end, "end_time")
        if task.end
        else asked.with_columns(end_time=pl.lit(None, pl.Datetime("us")))
    )
    deaths = timed.filter(pl.col("kind") == DEATH).group_by("subject_id").agg(death=pl.col("time").min())
    asked = asked.join(deaths, on="subject_id", how="left")
    alive = pl.col("death").is_null() | (pl.col("death") > pl.col("prediction_time"))
    ended_before = (pl.col("end_time") <= pl.col("prediction_time")).fill_null(value=False)
    limit = pl.col("end_time") if task.horizon is None else pl.col("prediction_time") + task.horizon
    known = (
        pl.lit(value=True)
        if task.end is None
        else ~pl.all_horizontal(pl.col("end_time", "outcome_time").is_null())
    )
    happened = pl.col("outcome_time").is_not_null() & (limit.is_null() | (pl.col("outcome_time") <= limit))
    return (
        asked.filter(alive & ~ended_before & known)
        .select("subject_id", "prediction_time", boolean_value=happened)
        .sort("subject_id", "prediction_time")
    )


def _next_time(asked: pl.DataFrame, timed: pl.DataFrame, kind: str, name: str) -> pl.DataFrame:
    """Add the time of the first event of a kind after each trigger."""
    found = timed.filter(pl.col("kind") == kind).select("subject_id", pl.col("time").alias(name)).sort(name)
    return asked.sort("trigger_time").join_asof(
        found,
        left_on="trigger_time",
        right_on=name,
        by="subject_id",
        strategy="forward",
        allow_exact_matches=False,
        check_sortedness=False,
    )
