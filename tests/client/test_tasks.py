from datetime import datetime, timedelta

import meds
import polars as pl

from client.evaluation.tasks import IN_HOSPITAL_MORTALITY, READMISSION_30_DAYS, label_task

START = datetime(2020, 1, 1)  # noqa: DTZ001 - MEDS times have no zone


def events(*rows):
    return pl.DataFrame(
        [
            (subject, None if day is None else START + timedelta(days=day), code)
            for subject, day, code in rows
        ],
        schema={"subject_id": pl.Int64, "time": pl.Datetime("us"), "code": pl.String},
        orient="row",
    )


STAYS = events(
    (1, None, "GENDER//F"),
    (1, 0, "HOSPITAL_ADMISSION//EMERGENCY"),
    (1, 5, "HOSPITAL_DISCHARGE//HOME"),
    (1, 20, "HOSPITAL_ADMISSION//ELECTIVE"),
    (1, 22, "MEDS_DEATH"),
    (1, 22, "HOSPITAL_DISCHARGE//DIED"),
    (2, 0, "HOSPITAL_ADMISSION//EMERGENCY"),
    (2, 0.5, "HOSPITAL_DISCHARGE//HOME"),
    (2, 50, "HOSPITAL_ADMISSION//EMERGENCY"),
    (2, 60, "HOSPITAL_DISCHARGE//HOME"),
    (2, 300, "MEDS_DEATH"),
    (3, 0, "HOSPITAL_ADMISSION//EMERGENCY"),
)


def as_days(labels):
    return [
        (row["subject_id"], (row["prediction_time"] - START) / timedelta(days=1), row["boolean_value"])
        for row in labels.iter_rows(named=True)
    ]


def test_mortality_is_asked_after_a_day_of_each_stay_that_lasts_one_and_whose_end_is_known():
    assert as_days(label_task(STAYS, IN_HOSPITAL_MORTALITY)) == [
        (1, 1.0, False),
        (1, 21.0, True),
        (2, 51.0, False),
    ]


def test_readmission_is_asked_of_the_living_and_counts_thirty_days():
    assert as_days(label_task(STAYS, READMISSION_30_DAYS)) == [
        (1, 5.0, True),
        (2, 0.5, False),
        (2, 60.0, False),
    ]


def test_labels_fit_the_meds_schema():
    table = label_task(STAYS, READMISSION_30_DAYS).to_arrow()
    assert meds.LabelSchema.align(table).num_rows == 3
