"""MIMIC-IV: who the patients are, and the facts that no single row tells."""

import polars as pl

from client.ehr.tables import Tables
from client.ehr.times import birth, parse_times
from wardlaw.errors import DataError

_PATIENT = ["subject_id", "gender", "anchor_age", "anchor_year", "anchor_year_group", "dod"]
_ADMISSION = ["subject_id", "admittime", "dischtime", "deathtime", "race"]


def prepare(tables: Tables) -> tuple[pl.DataFrame, dict[str, pl.DataFrame]]:
    """Visits (one a patient: MIMIC-IV is one hospital) and the derived table ``people``.

    Birth is 1 January of ``anchor_year - anchor_age``. Death is the admission's ``deathtime``,
    no later than its discharge; otherwise the end of the day ``dod``. Race is that of the
    first admission, so that nothing later is told at the start.

    Raises
    ------
    DataError
        If ``patients`` or ``admissions`` is missing, or lists a patient twice.
    """
    patients = tables.frame("patients", _PATIENT).with_columns(
        pl.col("subject_id").cast(pl.Int64, strict=False).alias("key"),
        pl.col("anchor_age", "anchor_year").cast(pl.Int32, strict=False),
    )
    patients = patients.sort("key")
    if doubled := patients["key"].drop_nulls().is_duplicated().sum():
        raise DataError(f"{doubled} rows share a patient", where="patients", remedy="Keep one row each")
    stays = tables.frame("admissions", _ADMISSION).with_columns(
        pl.col("subject_id").cast(pl.Int64, strict=False).alias("key")
    )
    stays = stays.with_columns(parse_times(stays[name]) for name in ("admittime", "dischtime", "deathtime"))
    told = (
        stays.sort("key", "admittime")
        .group_by("key", maintain_order=True)
        .agg(
            pl.col("race").drop_nulls().first(),
            pl.min_horizontal("deathtime", "dischtime")
            .filter(pl.col("deathtime").is_not_null())
            .min()
            .alias("hospital_death"),
        )
    )
    people = patients.join(told, on="key", how="left", maintain_order="left").with_columns(
        parse_times(patients["dod"])
    )
    people = people.select(
        pl.col("key").alias("subject_id"),
        "gender",
        "race",
        "anchor_age",
        birth(pl.col("anchor_year"), pl.col("anchor_age")),
        pl.coalesce("hospital_death", "dod").alias("death"),
    )
    visits = patients.drop_nulls("key").select("key", pl.col("key").alias("subject"), "anchor_year_group")
    return visits, {"people": people}
