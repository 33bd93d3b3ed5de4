"""Each bad input gives one line and an exit status, or is set aside and counted."""

import gzip
import json

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

LAB_HEADER = "labevent_id,subject_id,hadm_id,itemid,charttime,value,valuenum,valueuom"


def lab_lines(count, wrong):
    good = [f"{n},1,11,50912,2150-01-03 00:{n:02d}:00,1,1,mg/dL" for n in range(count - len(wrong))]
    return (LAB_HEADER, *good, *wrong)


def assert_fails(result, *words):
    """Exit status 4 (data) and one line on standard error with these words."""
    status, out, err = result
    assert status == 4, err
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("[DAT] ")
    for word in words:
        assert word in err


def shard(wardlaw, source, folder, out, *options):
    return wardlaw("client", "shard", "ehr", "--source", source, "--input", folder, "--out", out, *options)


@pytest.fixture
def meds_root(wardlaw, write_source, tmp_path):
    status, _, err = shard(wardlaw, "mimic-iv", write_source("mimic-iv"), tmp_path / "root")
    assert status == 0, err
    return tmp_path / "root"


def change(path, function):
    pq.write_table(function(pq.read_table(path)), path)


def test_truncated_gzip(wardlaw, write_source, tmp_path):
    folder = write_source("mimic-iv", labevents=lab_lines(50, []))
    path = folder / "labevents.csv.gz"
    path.write_bytes(path.read_bytes()[:-20])
    assert_fails(
        shard(wardlaw, "mimic-iv", folder, tmp_path / "out"), "labevents.csv.gz", "cannot be read to its end"
    )
    assert not (tmp_path / "out").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_file_that_is_not_gzip(wardlaw, write_source, tmp_path):
    folder = write_source("mimic-iv")
    (folder / "labevents.csv.gz").write_bytes(b"\x1f\x8b\x08nonsense")
    assert_fails(shard(wardlaw, "mimic-iv", folder, tmp_path / "out"), "labevents.csv.gz")


def test_missing_required_column(wardlaw, write_source, tmp_path):
    folder = write_source("mimic-iv", labevents=("subject_id,itemid,value,valuenum,valueuom", "1,2,3,3,mg"))
    assert_fails(
        shard(wardlaw, "mimic-iv", folder, tmp_path / "out"),
        "labevents.csv.gz",
        "column charttime is missing",
    )


@pytest.mark.parametrize(
    ("source", "table"),
    [("mimic-iv", "labevents"), ("mimic-iv", "patients"), ("eicu", "patient"), ("eicu", "hospital")],
)
def test_missing_required_table(wardlaw, write_source, tmp_path, source, table):
    folder = write_source(source, **{table: None})
    assert_fails(shard(wardlaw, source, folder, tmp_path / "out"), f"table {table} is missing")


def test_missing_optional_table_is_reported(wardlaw, write_source, tmp_path):
    folder = write_source("mimic-iv", prescriptions=None)
    status, out, _ = shard(wardlaw, "mimic-iv", folder, tmp_path / "out", "--json")
    assert status == 0
    assert "prescriptions" in json.loads(out)["absent-tables"]


def test_an_empty_file_is_an_error(wardlaw, write_source, tmp_path):
    folder = write_source("mimic-iv")
    (folder / "labevents.csv.gz").write_bytes(gzip.compress(b""))
    assert_fails(shard(wardlaw, "mimic-iv", folder, tmp_path / "out"), "labevents.csv.gz")


def test_unparsable_times_are_set_aside_and_counted(wardlaw, write_source, tmp_path):
    wrong = ["98,1,11,50912,yesterday,1,1,mg/dL", "99,1,11,50912,,1,1,mg/dL"]
    folder = write_source("mimic-iv", labevents=lab_lines(50, wrong))
    status, out, _ = shard(wardlaw, "mimic-iv", folder, tmp_path / "out", "--json")
    assert status == 0
    assert json.loads(out)["tables"]["labevents"]["quarantined"] == {
        "an unreadable time in charttime": 1,
        "no time in charttime": 1,
    }
    assert json.loads(out)["tables"]["labevents"]["events"] == 48


def test_too_many_unparsable_times_are_an_error_unless_the_cap_is_raised(wardlaw, write_source, tmp_path):
    wrong = [f"{n},1,11,50912,yesterday,1,1,mg/dL" for n in range(90, 93)]
    folder = write_source("mimic-iv", labevents=lab_lines(50, wrong))
    result = shard(wardlaw, "mimic-iv", folder, tmp_path / "out")
    assert_fails(result, "3 of 50 rows have an unreadable time in charttime", "labevents")
    status, _, _ = shard(wardlaw, "mimic-iv", folder, tmp_path / "out", "--quarantine-cap", "0.06")
    assert status == 0


@pytest.mark.parametrize("source", ["mimic-iv", "eicu"])
def test_negative_age_is_set_aside_and_counted(wardlaw, write_source, tmp_path, source):
    if source == "mimic-iv":
        header = "subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod"
        folder = write_source(
            source, patients=(header, *(f"{n},F,{n - 2},2150,2011 - 2013," for n in range(1, 42)))
        )
    else:
        patient = write_source(source) / "patient.csv.gz"
        header, *_, stay = gzip.decompress(patient.read_bytes()).decode().splitlines()
        stays = [
            stay.replace("002-7", f"002-{n}").replace("3,99", f"{n},{n}").replace("> 89", str(n - 2))
            for n in range(1, 42)
        ]
        folder = write_source(source, patient=(header, *stays), diagnosis=None)
        (folder / "diagnosis.csv.gz").write_bytes(
            gzip.compress(b"patientunitstayid,diagnosisoffset,diagnosisstring,icd9code\n")
        )
    status, out, err = shard(wardlaw, source, folder, tmp_path / "out", "--json")
    assert status == 0, err
    people = json.loads(out)["tables"]["people"]
    assert people["quarantined"] == {"a negative age": 1}
    events = pl.read_parquet(tmp_path / "out" / "data" / "*.parquet")
    assert events.filter(pl.col("code") == "MEDS_BIRTH").height == 40


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (("2014,", "20140000,"), "an unknown patient"),
        (("2014,", "soon,"), "an unknown patient"),
        (("002-5,", "nobody,"), "an unknown patient"),
        (("5,5,", "five,5,"), "no patient"),
    ],
)
def test_an_eicu_stay_that_cannot_be_placed_is_set_aside_and_counted(
    wardlaw, write_source, tmp_path, wrong, reason
):
    patient = write_source("eicu") / "patient.csv.gz"
    header, *_, stay = gzip.decompress(patient.read_bytes()).decode().splitlines()
    stays = [stay.replace("002-7", f"002-{n}").replace("3,99", f"{n},{n}") + "," for n in range(1, 42)]
    stays[4] = stays[4].replace(*wrong)
    diagnosis = "patientunitstayid,diagnosisoffset,diagnosisstring,icd9code"
    nothing = {"vitalAperiodic": None, "apacheApsVar": None}
    folder = write_source("eicu", patient=(header + ",more", *stays), diagnosis=(diagnosis,), **nothing)
    status, out, err = shard(wardlaw, "eicu", folder, tmp_path / "out", "--json")
    assert status == 0, err
    stays_counted = json.loads(out)["tables"]["unitstay"]
    assert stays_counted["rows"] == 41
    assert stays_counted["quarantined"] == {reason: 1}
    assert json.loads(out)["sites"]["all"]["subjects"] == 40


def test_a_year_that_cannot_be_is_set_aside_and_counted(wardlaw, write_source, tmp_path):
    header = "subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod"
    people = [f"{n},F,40,2150,2011 - 2013," for n in range(1, 41)]
    folder = write_source("mimic-iv", patients=(header, *people, "41,F,40,300000,x,", "42,F,400,2150,x,"))
    status, out, err = shard(wardlaw, "mimic-iv", folder, tmp_path / "out", "--json")
    assert status == 0, err
    assert json.loads(out)["tables"]["people"]["quarantined"] == {
        "an impossible age": 1,
        "no time in birth": 1,
    }


def test_an_unknown_patient_is_set_aside_and_counted(wardlaw, write_source, tmp_path):
    folder = write_source("mimic-iv", labevents=lab_lines(50, ["98,77,,50912,2150-01-03 00:00:00,1,1,mg/dL"]))
    status, out, _ = shard(wardlaw, "mimic-iv", folder, tmp_path / "out", "--json")
    assert status == 0
    assert json.loads(out)["tables"]["labevents"]["quarantined"] == {"an unknown patient": 1}


def test_a_patient_listed_twice(wardlaw, write_source, tmp_path):
    header = "subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod"
    folder = write_source("mimic-iv", patients=(header, *["1,F,40,2150,2011 - 2013,"] * 2))
    assert_fails(shard(wardlaw, "mimic-iv", folder, tmp_path / "out"), "2 rows share a patient")


def test_an_output_folder_with_something_in_it(wardlaw, write_source, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    assert_fails(shard(wardlaw, "mimic-iv", write_source("mimic-iv"), tmp_path / "out"), "is not empty")
    assert (tmp_path / "out" / "mine.txt").read_text() == "keep"


def test_a_column_that_names_no_site(wardlaw, write_source, tmp_path):
    status, _, err = shard(wardlaw, "eicu", write_source("eicu"), tmp_path / "out", "--site-column", "ward")
    assert status == 2
    assert err.startswith("[CFG] --site-column: no column ward")
    assert "hospitalid" in err


def test_a_site_without_patients(wardlaw, write_source, tmp_path):
    folder, out = write_source("eicu"), tmp_path / "out"
    assert_fails(
        shard(wardlaw, "eicu", folder, out, "--site-column", "region", "--site", "mars"),
        "no patients at mars",
    )


def test_meds_root_with_a_code_absent_from_codes(wardlaw, meds_root, tmp_path):
    change(meds_root / "metadata" / "codes.parquet", lambda codes: codes.slice(1))
    result = shard(wardlaw, "meds", meds_root, tmp_path / "out")
    assert_fails(result, "1 codes", "are not in codes.parquet", "00000.parquet")


def test_meds_root_with_a_subject_in_two_splits(wardlaw, meds_root, tmp_path):
    def double(splits):
        other = pa.table({"subject_id": splits["subject_id"][:2], "split": ["tuning", "held_out"]})
        return pa.concat_tables(
            [pa.table({**splits.to_pydict(), "split": ["train"] * 3}, schema=splits.schema), other]
        )

    change(meds_root / "metadata" / "subject_splits.parquet", double)
    result = shard(wardlaw, "meds", meds_root, tmp_path / "out")
    assert_fails(result, "2 subjects are in two splits", "subject_splits.parquet")


def test_meds_root_whose_times_go_back(wardlaw, meds_root, tmp_path):
    change(
        meds_root / "data" / "00000.parquet", lambda rows: rows.take([0, 1, 3, 2, *range(4, rows.num_rows)])
    )
    assert_fails(shard(wardlaw, "meds", meds_root, tmp_path / "out"), "go back in time", "00000.parquet")


def test_meds_root_with_a_subject_in_two_files(wardlaw, meds_root, tmp_path):
    rows = pq.read_table(meds_root / "data" / "00000.parquet")
    pq.write_table(rows.slice(0, 4), meds_root / "data" / "00001.parquet")
    assert_fails(
        shard(wardlaw, "meds", meds_root, tmp_path / "out"),
        "rows of 1 subjects are not together",
        "00001.parquet",
    )


def test_meds_root_with_a_subject_in_two_runs(wardlaw, meds_root, tmp_path):
    change(meds_root / "data" / "00000.parquet", lambda rows: pa.concat_tables([rows, rows.slice(0, 1)]))
    assert_fails(shard(wardlaw, "meds", meds_root, tmp_path / "out"), "rows of 1 subjects are not together")


def test_meds_root_without_codes_or_data(wardlaw, meds_root, tmp_path):
    (meds_root / "metadata" / "codes.parquet").unlink()
    assert_fails(shard(wardlaw, "meds", meds_root, tmp_path / "out"), "codes.parquet", "missing")
    assert_fails(shard(wardlaw, "meds", tmp_path / "nothing", tmp_path / "out"), "no MEDS data")


def test_meds_root_without_a_time_column(wardlaw, meds_root, tmp_path):
    change(meds_root / "data" / "00000.parquet", lambda rows: rows.drop_columns("time"))
    assert_fails(shard(wardlaw, "meds", meds_root, tmp_path / "out"), "not MEDS data", "time")


def test_meds_root_with_a_null_subject(wardlaw, meds_root, tmp_path):
    def without_subject(rows):
        ids = pa.array([None, *rows["subject_id"].to_pylist()[1:]], pa.int64())
        return rows.set_column(0, "subject_id", ids)

    change(meds_root / "data" / "00000.parquet", without_subject)
    assert_fails(shard(wardlaw, "meds", meds_root, tmp_path / "out"), "not MEDS data", "subject_id")


def test_values_of_a_meds_root_that_are_not_finite_are_dropped_and_counted(wardlaw, meds_root, tmp_path):
    def spoil(rows):
        values = rows["numeric_value"].to_pylist()
        place = rows.schema.get_field_index("numeric_value")
        return rows.set_column(
            place, "numeric_value", pa.array([float("nan"), float("-inf"), *values[2:]], pa.float32())
        )

    change(meds_root / "data" / "00000.parquet", spoil)
    status, out, _ = shard(wardlaw, "meds", meds_root, tmp_path / "out", "--json")
    assert status == 0
    assert json.loads(out)["tables"]["data"]["values-nulled"] == 2
    values = pl.read_parquet(tmp_path / "out" / "data" / "*.parquet")["numeric_value"]
    assert values.drop_nulls().to_list() == [1.5]


def test_a_root_not_labelled_synthetic_is_refused_as_synthetic(wardlaw, meds_root, tmp_path):
    assert_fails(
        shard(wardlaw, "synthetic", meds_root, tmp_path / "out"),
        "does not say that these patients are synthetic",
    )
    path = meds_root / "metadata" / "dataset.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "synthetic": True}))
    status, _, _ = shard(wardlaw, "synthetic", meds_root, tmp_path / "out")
    assert status == 0
    assert json.loads((tmp_path / "out" / "metadata" / "dataset.json").read_text())["synthetic"] is True


def test_no_message_names_a_patient(wardlaw, write_source, tmp_path):
    wrong = [f"{n},424242,11,50912,2150-01-03 00:00:00,1,1,mg/dL" for n in range(90, 93)]
    _, out, err = shard(
        wardlaw, "mimic-iv", write_source("mimic-iv", labevents=lab_lines(50, wrong)), tmp_path / "out"
    )
    assert "3 of 50 rows have an unknown patient" in err
    assert "424242" not in err + out
