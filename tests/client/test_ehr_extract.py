"""Source tables to MEDS roots, on tables made by hand with expected events worked out by hand."""

import json
from datetime import datetime

import meds.schema as meds
import polars as pl
import pyarrow.parquet as pq
import pytest

from client.ehr.command import shard_source
from client.ehr.eicu import subject_number
from client.ehr.meds_root import RootScan, checked_batches, open_root
from client.ehr.request import ShardRequest, SourceName


def shard(source, folder, out, **options):
    return shard_source(ShardRequest(SourceName(source), folder, out, **options))


def timeline(root, subject):
    events = pl.read_parquet(root / "data" / "*.parquet").filter(pl.col("subject_id") == subject)
    return [
        (None if time is None else time.strftime("%Y-%m-%d %H:%M"), code, value, text)
        for time, code, value, text in events.select(
            "time", "code", "numeric_value", "text_value"
        ).iter_rows()
    ]


def codes_of(root):
    return {row["code"]: row for row in pq.read_table(root / "metadata" / "codes.parquet").to_pylist()}


def assert_sound(root):
    """Independent of our own checks: the meds package's schemas and the format's two promises."""
    home = {}
    codes = set(codes_of(root))
    meds.CodeMetadataSchema.validate(pq.read_table(root / "metadata" / "codes.parquet"))
    splits = pq.read_table(root / "metadata" / "subject_splits.parquet")
    meds.SubjectSplitSchema.validate(splits)
    meds.DatasetMetadataSchema.validate(json.loads((root / "metadata" / "dataset.json").read_text()))
    for path in sorted((root / "data").glob("*.parquet")):
        table = pq.read_table(path)
        meds.DataSchema.validate(table)
        last = (None, None)
        for subject, time, code in zip(
            *(table[name].to_pylist() for name in ("subject_id", "time", "code")), strict=True
        ):
            if subject != last[0]:
                assert subject not in home
                home[subject] = path
            else:
                assert last[1] is None or (time is not None and time >= last[1])
            last = (subject, time)
            assert code in codes
    assert sorted(home) == sorted(splits["subject_id"].to_pylist())


def test_mimic_timeline_is_the_one_worked_out_by_hand(write_source, tmp_path):
    (tmp_path / "atc.csv").write_text("drug,atc_code\nAspirin,N02BA01\naspirin,B01AC06\n")
    summary = shard("mimic-iv", write_source("mimic-iv"), tmp_path / "out", drug_atc=tmp_path / "atc.csv")
    assert_sound(tmp_path / "out")
    assert timeline(tmp_path / "out", 1) == [
        (None, "GENDER//F", None, None),
        (None, "RACE//BLACK", None, None),
        ("2110-01-01 00:00", "MEDS_BIRTH", None, None),
        ("2150-01-02 03:04", "HOSPITAL_ADMISSION//URGENT//EMERGENCY ROOM", None, None),
        ("2150-01-02 03:04", "INSURANCE//MEDICAID", None, None),
        ("2150-01-02 03:04", "MARITAL_STATUS//SINGLE", None, None),
        ("2150-01-02 03:05", "TRANSFER//admit//Ward", None, None),
        ("2150-01-02 04:00", "ICU_ADMISSION//MICU", None, None),
        ("2150-01-02 12:00", "LAB//50912//mg/dL", None, "inf"),
        ("2150-01-03 00:00", "LAB//50912//mg/dL", 1.5, None),
        ("2150-01-03 00:00", "LAB//51463//UNK", None, "NEG"),
        ("2150-01-03 08:00", "MEDICATION//ATC//B01AC06", None, None),
        ("2150-01-04 08:00", "MEDICATION//foo", None, None),
        # The procedure's day ends after discharge, so it stands at discharge, as what is billed does;
        # the order that was to start after discharge is left out.
        ("2150-01-05 06:00", "PROCEDURE//ICD//9//3961", None, None),
        ("2150-01-05 06:00", "ICU_DISCHARGE//SICU", None, None),
        ("2150-01-05 06:00", "HOSPITAL_DISCHARGE//HOME", None, None),
        ("2150-01-05 06:00", "DIAGNOSIS//ICD//10//I10", None, None),
        ("2150-01-05 06:00", "DIAGNOSIS//ICD//9//4019", None, None),
        ("2150-01-05 06:00", "DRG//HCFA//864", None, None),
    ]
    assert summary.tables["labevents"].values_nulled == 1
    assert "chartevents" in summary.absent


def test_mimic_death_in_hospital_is_no_later_than_discharge_and_else_at_the_end_of_its_day(
    write_source, tmp_path
):
    shard("mimic-iv", write_source("mimic-iv"), tmp_path / "out")
    in_hospital = [event[:2] for event in timeline(tmp_path / "out", 2)]
    assert in_hospital[-2:] == [
        ("2160-03-03 12:00", "MEDS_DEATH"),
        ("2160-03-03 12:00", "HOSPITAL_DISCHARGE//DIED"),
    ]
    assert timeline(tmp_path / "out", 3)[-1][:2] == ("2160-04-05 23:59", "MEDS_DEATH")


def test_codes_are_described_where_the_source_knows(write_source, tmp_path):
    shard("mimic-iv", write_source("mimic-iv"), tmp_path / "out")
    codes = codes_of(tmp_path / "out")
    assert codes["LAB//50912//mg/dL"]["description"] == "Creatinine (Blood)"
    assert codes["DIAGNOSIS//ICD//10//I10"]["description"] == "Essential, primary"
    assert codes["DIAGNOSIS//ICD//10//I10"]["parent_codes"] == ["ICD10CM/I10"]
    assert codes["DIAGNOSIS//ICD//9//4019"]["parent_codes"] == ["ICD9CM/4019"]
    assert codes["LAB//51463//UNK"]["description"] is None


def test_eicu_pseudo_timeline_is_the_one_worked_out_by_hand(write_source, tmp_path):
    shard("eicu", write_source("eicu"), tmp_path / "out")
    assert_sound(tmp_path / "out")
    assert timeline(tmp_path / "out", 2 * 10**10 + 7) == [
        (None, "GENDER//F", None, None),
        (None, "RACE//WHITE", None, None),
        ("1924-01-01 00:00", "MEDS_BIRTH", None, None),
        ("2014-01-01 22:30", "HOSPITAL_ADMISSION//FLOOR", None, None),
        ("2014-01-01 23:30", "ICU_ADMISSION//MICU//admit", None, None),
        ("2014-01-01 23:30", "VITAL//admissionheight//cm", 160.0, None),
        ("2014-01-01 23:40", "DIAGNOSIS//ICD//10//I10", None, None),
        ("2014-01-01 23:41", "DIAGNOSIS//PATH//neurologic//pain / other", None, None),
        ("2014-01-02 00:00", "VITAL//noninvasivemean//mmHg", 90.0, None),
        ("2014-01-02 00:00", "VITAL//noninvasivesystolic//mmHg", 120.0, None),
        # Worst values of the first day are known when the first stay ends, ten hours in.
        ("2014-01-02 09:30", "APACHE//wbc", 12.5, None),
        ("2014-01-02 09:30", "ICU_DISCHARGE//FLOOR", None, None),
        # Half an hour before the second unit admission, twelve hours after hospital admission.
        ("2014-01-02 10:00", "DIAGNOSIS//ICD//9//5849", None, None),
        ("2014-01-02 10:30", "ICU_ADMISSION//MICU//readmit", None, None),
        ("2014-01-02 10:30", "VITAL//admissionheight//cm", 160.0, None),
        ("2014-01-02 22:10", "ICU_DISCHARGE//FLOOR", None, None),
        ("2014-01-02 22:30", "HOSPITAL_DISCHARGE//HOME", None, None),
        # Sixty days after discharge is 3 March 22:30; the next 6 o'clock is on the 4th.
        ("2014-03-04 06:00", "HOSPITAL_ADMISSION//UNK", None, None),
        ("2014-03-04 06:00", "ICU_ADMISSION//SICU//admit", None, None),
        ("2014-03-04 06:00", "VITAL//admissionheight//cm", 160.0, None),
        ("2014-03-04 07:30", "MEDS_DEATH", None, None),
        ("2014-03-04 07:30", "ICU_DISCHARGE//DEATH", None, None),
        ("2014-03-04 07:40", "HOSPITAL_DISCHARGE//DIED", None, None),
    ]


def test_a_patient_of_two_hospitals_has_a_part_at_each_and_the_same_split(write_source, tmp_path):
    summary = shard("eicu", write_source("eicu"), tmp_path / "out", site_column="hospitalid")
    assert sorted(summary.sites) == ["7", "8"]
    splits = set()
    for site in ("7", "8"):
        root = tmp_path / "out" / site
        assert_sound(root)
        events = timeline(root, 2 * 10**10 + 7)
        assert [event[1] for event in events[:3]] == ["GENDER//F", "RACE//WHITE", "MEDS_BIRTH"]
        splits |= set(pl.read_parquet(root / "metadata" / "subject_splits.parquet")["split"])
        assert set(pl.read_parquet(root / "data" / "*.parquet")["hospitalid"]) == {site}
    assert len(splits) == 1
    assert ("2014-03-04 07:30", "MEDS_DEATH", None, None) not in timeline(
        tmp_path / "out" / "7", 2 * 10**10 + 7
    )
    assert b"Midwest" not in (tmp_path / "out" / "8" / "data" / "00000.parquet").read_bytes()
    assert "DIAGNOSIS//ICD//10//I10" not in codes_of(tmp_path / "out" / "8")


def test_only_the_chosen_site_is_written(write_source, tmp_path):
    shard("eicu", write_source("eicu"), tmp_path / "out", site_column="region", only_sites=("unknown",))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["unknown"]


def test_the_number_of_parts_changes_files_and_nothing_else(write_source, tmp_path):
    patients = ["subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod"]
    labs = ["subject_id,itemid,charttime,value,valuenum,valueuom"]
    for subject in range(1, 30):
        patients.append(f"{subject},F,{30 + subject},2150,2011 - 2013,")
        labs += [
            f"{subject},{50800 + n % 7},2150-01-0{1 + n % 9} 0{n % 5}:00:00,{n},{n},mg" for n in range(40)
        ]
    folder = write_source("mimic-iv", patients=patients, labevents=labs)
    shard("mimic-iv", folder, tmp_path / "one")
    shard("mimic-iv", folder, tmp_path / "many", part_bytes=200)
    assert len(list((tmp_path / "many" / "data").glob("*"))) > 3
    assert_sound(tmp_path / "many")
    one, many = (pl.read_parquet(tmp_path / name / "data" / "*.parquet") for name in ("one", "many"))
    assert one.height == 29 * (40 + 3) + 17
    assert many.sort("subject_id", maintain_order=True).equals(one)


def test_extraction_record_counts_rows_and_names_the_dataset(write_source, tmp_path):
    shard("mimic-iv", write_source("mimic-iv"), tmp_path / "out")
    record = json.loads((tmp_path / "out" / "metadata" / "extraction.json").read_text())
    assert record["tables"]["prescriptions"] == {
        "rows": 3, "events": 2, "skipped": {}, "quarantined": {}, "values-nulled": 0,
    }  # fmt: skip
    dataset = json.loads((tmp_path / "out" / "metadata" / "dataset.json").read_text())
    assert dataset["meds_version"].startswith("0.4")
    assert dataset["site_id_columns"] == ["anchor_year_group"]
    assert datetime.fromisoformat(dataset["created_at"]).tzinfo is not None


def test_our_own_reader_accepts_what_we_write(write_source, tmp_path):
    shard("eicu", write_source("eicu"), tmp_path / "out")
    scan = RootScan()
    rows = sum(table.num_rows for table in checked_batches(open_root(tmp_path / "out"), scan))
    assert rows == scan.events == 23
    assert scan.subjects == {2 * 10**10 + 7}


def test_eicu_ids_are_the_digits_of_uniquepid():
    names = pl.DataFrame({"uniquepid": ["002-7", "012-1039", "x"]})
    assert names.select(subject_number(pl.col("uniquepid"))).to_series().to_list() == [
        2 * 10**10 + 7,
        12 * 10**10 + 1039,
        None,
    ]


@pytest.mark.parametrize("source", ["mimic-iv", "eicu"])
def test_two_runs_write_the_same_data_files(write_source, tmp_path, source):
    folder = write_source(source)
    for name in ("a", "b"):
        shard(source, folder, tmp_path / name)
    a, b = ((tmp_path / name / "data" / "00000.parquet").read_bytes() for name in ("a", "b"))
    assert a == b
