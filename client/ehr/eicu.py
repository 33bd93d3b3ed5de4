"""eICU: stays without dates, laid out on a pseudo-timeline.

eICU gives no dates: a unit stay's events are minutes from its admission, a hospital stay
has a year of discharge and a time of day of admission, and the order of one patient's
hospital stays within a year is not known. We lay a patient's hospital stays out so:

1. order: year of discharge, then a stay that ended in death after those that did not, then
   age, then ``patienthealthsystemstayid`` (arbitrary, but the same on every machine);
2. a hospital stay begins on 1 January of its year of discharge, at its own time of day of
   admission, or at that time of day on the first day that is at least `GAP_DAYS` after the
   patient's preceding stay ended;
3. a unit admission is ``hospitaladmitoffset`` minutes before the hospital admission, so
   the unit stays of one hospital stay stand to each other as they truly did.

Hence times within a hospital stay are true to the minute, and times between hospital stays
mean nothing: readmission within 30 days cannot be measured on eICU (by `GAP_DAYS` it never
happens), nor anything that counts days or seasons across stays.
"""

from datetime import date, timedelta

import polars as pl

from client.ehr.tables import Tables
from client.ehr.times import birth
from wardlaw.errors import DataError

GAP_DAYS = 60
YEARS = (1900, 2200)
LONGEST_DAYS = 3650
DAY = 24 * 60
BEFORE_ADMISSION = timedelta(days=30)
AFTER_DISCHARGE = timedelta(days=1)

_STAY = [
    "patientunitstayid", "patienthealthsystemstayid", "uniquepid", "gender", "age", "ethnicity", "hospitalid",
    "hospitaladmittime24", "hospitaladmitoffset", "hospitaladmitsource", "hospitaldischargeyear",
    "hospitaldischargeoffset", "hospitaldischargelocation", "hospitaldischargestatus", "unittype",
    "unitstaytype", "unitdischargeoffset", "unitdischargelocation",
    "unitdischargestatus", "admissionheight", "admissionweight", "dischargeweight",
]  # fmt: skip
_HOSPITAL = ["hospitalid", "numbedscategory", "teachingstatus", "region"]
_OFFSETS = ["hospitaladmitoffset", "hospitaldischargeoffset", "unitdischargeoffset"]
_NUMBERS = [*_OFFSETS, "hospitaldischargeyear"]


def prepare(tables: Tables) -> tuple[pl.DataFrame, dict[str, pl.DataFrame]]:
    """Visits (one a unit stay) and the derived tables ``people``, ``hospitalstay`` and ``unitstay``.

    ``> 89`` years is read as 90. Where hospital and unit disagree on whether the patient
    died, the hospital's status decides; it is by that one that mortality is counted.

    Raises
    ------
    DataError
        If ``patient`` or ``hospital`` is missing, or two patients get one id.
    """
    told = _typed(tables)
    stays = _timed(_placeable(told))
    unplaced = told.join(stays, on="patientunitstayid", how="anti")
    visits = stays.select(
        pl.col("patientunitstayid").alias("key"),
        "subject",
        "origin",
        (pl.min_horizontal("hospital_admission", "origin") - BEFORE_ADMISSION).alias("first"),
        (pl.max_horizontal("hospital_discharge", "unit_discharge") + AFTER_DISCHARGE).alias("last"),
        pl.min_horizontal(pl.col("origin") + timedelta(days=1), "unit_discharge").alias("first_day_end"),
        *_HOSPITAL,
    )
    return visits, {
        "people": _people(stays),
        "hospitalstay": _hospital_stays(stays),
        "unitstay": pl.concat([stays, unplaced], how="diagonal"),
    }


def _typed(tables: Tables) -> pl.DataFrame:
    patient = tables.frame("patient", _STAY)
    hospital = tables.frame("hospital", _HOSPITAL).unique("hospitalid", keep="first", maintain_order=True)
    stays = patient.join(hospital, on="hospitalid", how="left", maintain_order="left").with_columns(
        pl.col("patientunitstayid", "patienthealthsystemstayid").cast(pl.Int64, strict=False),
        pl.col(_NUMBERS).cast(pl.Float64, strict=False).cast(pl.Int64, strict=False),
        pl.col("age").alias("age_told"),
        pl.col("age").str.strip_chars("> ").cast(pl.Int32, strict=False)
        + pl.col("age").str.contains(">").cast(pl.Int32),
        pl.col("region", "numbedscategory", "teachingstatus").fill_null("unknown"),
        subject_number(pl.col("uniquepid")).alias("subject"),
    )
    known = stays.drop_nulls("subject")
    if (ids := known["uniquepid"].n_unique()) != known["subject"].n_unique():
        raise DataError(f"{ids} patients do not get {ids} ids", where="patient", remedy="Check uniquepid")
    if doubled := stays["patientunitstayid"].drop_nulls().is_duplicated().sum():
        raise DataError(f"{doubled} rows share a unit stay", where="patient", remedy="Keep one row each")
    return stays


def _placeable(stays: pl.DataFrame) -> pl.DataFrame:
    """Stays of which patient, hospital stay, year and offsets are known and possible."""
    known = stays.drop_nulls(["patientunitstayid", "patienthealthsystemstayid", "subject", *_NUMBERS])
    possible = pl.all_horizontal(pl.col(_OFFSETS).abs() <= LONGEST_DAYS * DAY)
    return known.filter(possible & pl.col("hospitaldischargeyear").is_between(*YEARS))


def subject_number(uniquepid: pl.Expr) -> pl.Expr:
    """Subject id of an eICU ``uniquepid``: ``002-1039`` is 2 * 10**10 + 1039; null if of another form."""
    parts = uniquepid.str.extract_groups(r"^(\d{1,6})-(\d{1,10})$")
    return parts.struct[0].cast(pl.Int64) * 10**10 + parts.struct[1].cast(pl.Int64)


def _timed(stays: pl.DataFrame) -> pl.DataFrame:
    """Add origin (unit admission), unit and hospital times, and whether the hospital stay ended in death."""
    status = pl.coalesce("hospitaldischargestatus", "unitdischargestatus").str.to_lowercase()
    stays = stays.with_columns((status == "expired").fill_null(False).alias("died"))
    hospital = (
        stays.group_by("subject", "patienthealthsystemstayid")
        .agg(
            pl.col("hospitaldischargeyear").min().alias("year"),
            pl.col("died").any(),
            pl.col("age").min().alias("first_age"),
            pl.col("hospitaladmittime24").min().alias("time_of_day"),
            (pl.col("hospitaldischargeoffset") - pl.col("hospitaladmitoffset")).max().alias("minutes"),
        )
        .sort("subject", "year", "died", "first_age", "patienthealthsystemstayid")
    )
    laid_out = hospital.select(
        "patienthealthsystemstayid",
        _admissions(hospital),
        "minutes",
        pl.int_range(pl.len()).over("subject").alias("place"),
    )
    stays = stays.drop("died").join(
        hospital.select("patienthealthsystemstayid", "died"), on="patienthealthsystemstayid"
    )
    stays = stays.join(laid_out, on="patienthealthsystemstayid").with_columns(
        (pl.col("admission") - _minutes("hospitaladmitoffset")).alias("origin"),
        (pl.col("admission") + _minutes("minutes")).alias("hospital_discharge"),
    )
    unit_discharge = pl.col("origin") + _minutes("unitdischargeoffset")
    return stays.with_columns(
        pl.min_horizontal("admission", pl.col("origin").min().over("patienthealthsystemstayid")).alias(
            "hospital_admission"
        ),
        pl.max_horizontal("origin", pl.min_horizontal(unit_discharge, "hospital_discharge")).alias(
            "unit_discharge"
        ),
    ).sort("subject", "place", "origin", "patientunitstayid")


def _minutes(column: str) -> pl.Expr:
    return pl.duration(minutes=pl.col(column))


def _admissions(hospital: pl.DataFrame) -> pl.Series:
    """Admission of each hospital stay, in the order given (by subject, then place)."""
    admissions: list[int] = []
    subject, free_from = None, 0
    for stay in hospital.iter_rows(named=True):
        if stay["subject"] != subject:
            subject, free_from = stay["subject"], 0
        clock = _clock(stay["time_of_day"])
        new_year = (date(stay["year"], 1, 1) - date(1970, 1, 1)).days
        day = max(new_year, -((clock - free_from) // DAY))
        admissions.append(day * DAY + clock)
        free_from = admissions[-1] + max(stay["minutes"], 0) + GAP_DAYS * DAY
    return (pl.Series("admission", admissions, dtype=pl.Int64) * 60_000_000).cast(pl.Datetime("us"))


def _clock(text: str | None) -> int:
    """Minutes since midnight; 0 where the time of day is not told or unreadable."""
    try:
        hours, minutes, *_ = (int(part) for part in (text or "0:0").split(":"))
    except ValueError:
        return 0
    return hours * 60 + minutes


def _people(stays: pl.DataFrame) -> pl.DataFrame:
    """One row for each patient and hospital, all telling what the first stay that told it told."""
    facts = stays.group_by("subject", maintain_order=True).agg(
        pl.col("gender", "ethnicity", "age", "age_told").drop_nulls().first(),
        pl.col("admission").filter(pl.col("age").is_not_null()).first(),
    )
    places = stays.unique(["subject", "hospitalid"], keep="first", maintain_order=True)
    return (
        places.select("patientunitstayid", "subject")
        .join(facts, on="subject", how="left", maintain_order="left")
        .with_columns(birth(pl.col("admission").dt.year(), pl.col("age")))
    )


def _hospital_stays(stays: pl.DataFrame) -> pl.DataFrame:
    """One row for each hospital stay; ``death`` only in the patient's last."""
    whole = stays.group_by("subject", "patienthealthsystemstayid", maintain_order=True).agg(
        pl.col("patientunitstayid", "hospitaladmitsource", "hospital_admission").first(),
        pl.col("hospital_discharge").max(),
        pl.col("hospitaldischargelocation").drop_nulls().first(),
        pl.col("hospitaldischargestatus").drop_nulls().first(),
        pl.col("died").any(),
        pl.col("unit_discharge")
        .filter(pl.col("unitdischargestatus").str.to_lowercase() == "expired")
        .max()
        .alias("unit_death"),
    )
    last = pl.int_range(pl.len()).reverse().over("subject") == 0
    death = pl.min_horizontal("unit_death", "hospital_discharge")
    place = pl.col("hospitaldischargelocation").str.to_uppercase().replace({"DEATH": None})
    return whole.with_columns(
        pl.when(pl.col("died") & last).then(death).alias("death"),
        pl.when("died").then(pl.lit("DIED")).otherwise(place).alias("discharged_to"),
    )
