"""The real demos: counts against the published figures and against loops over the raw tables."""

import csv
import gzip
import json
from collections import Counter, defaultdict
from datetime import timedelta
from itertools import pairwise

import meds.schema as meds
import polars as pl
import pyarrow.parquet as pq
import pytest

from client.ehr.command import shard_source
from client.ehr.eicu import GAP_DAYS
from client.ehr.meds_root import RootScan, checked_batches, open_root
from client.ehr.request import ShardRequest, SourceName


def rows_of(path):
    with gzip.open(path, "rt", newline="") as file:
        return list(csv.DictReader(file))


def shard(source, folder, out, **options):
    shard_source(ShardRequest(SourceName(source), folder, out, **options))
    return out


def events_of(root):
    return pl.read_parquet(root / "data" / "*.parquet")


@pytest.fixture(scope="module")
def mimic_tables(shared_data):
    return shared_data / "ehr" / "mimic-iv-demo-2.2"


@pytest.fixture(scope="module")
def eicu_tables(shared_data):
    return shared_data / "ehr" / "eicu-demo-2.0"


@pytest.fixture(scope="module")
def mimic(mimic_tables, shared_data, tmp_path_factory):
    atc = shared_data / "ehr" / "ontology-maps" / "mimic_drug_to_atc.csv.gz"
    return shard("mimic-iv", mimic_tables, tmp_path_factory.mktemp("mimic") / "out", drug_atc=atc)


@pytest.fixture(scope="module")
def eicu_regions(eicu_tables, tmp_path_factory):
    return shard("eicu", eicu_tables, tmp_path_factory.mktemp("eicu") / "out", site_column="region")


@pytest.fixture(scope="module")
def eicu_events(eicu_regions):
    return pl.concat(events_of(root) for root in sorted(eicu_regions.iterdir()))


def assert_valid(root):
    for path in (root / "data").glob("*.parquet"):
        meds.DataSchema.validate(pq.read_table(path))
    meds.CodeMetadataSchema.validate(pq.read_table(root / "metadata" / "codes.parquet"))
    meds.SubjectSplitSchema.validate(pq.read_table(root / "metadata" / "subject_splits.parquet"))
    scan = RootScan()
    rows = sum(table.num_rows for table in checked_batches(open_root(root), scan))
    codes = set(pl.read_parquet(root / "metadata" / "codes.parquet")["code"])
    assert rows == scan.events > 0
    assert scan.codes == codes


def test_mimic_has_the_published_counts(mimic):
    assert_valid(mimic)
    events = events_of(mimic)
    kinds = Counter(code.split("//")[0] for code in events["code"])
    assert events["subject_id"].n_unique() == 100
    assert kinds["HOSPITAL_ADMISSION"] == kinds["HOSPITAL_DISCHARGE"] == 275
    assert kinds["ICU_ADMISSION"] == kinds["ICU_DISCHARGE"] == 140
    assert kinds["LAB"] == 107_727
    assert kinds["MEDS_DEATH"] == 31
    assert (events["code"] == "HOSPITAL_DISCHARGE//DIED").sum() == 15
    assert kinds["DIAGNOSIS"] == 4_506


def test_mimic_labs_equal_a_loop_over_the_raw_table(mimic, mimic_tables):
    raw = Counter()
    for row in rows_of(mimic_tables / "hosp" / "labevents.csv.gz"):
        value = round(float(row["valuenum"]), 3) if row["valuenum"] else None
        raw[
            int(row["subject_id"]),
            row["charttime"],
            f"LAB//{row['itemid']}//{row['valueuom'].strip() or 'UNK'}",
            value,
        ] += 1
    labs = events_of(mimic).filter(pl.col("code").str.starts_with("LAB//"))
    ours = Counter(
        (subject, str(time), code, None if value is None else round(value, 3))
        for subject, time, code, value in labs.select(
            "subject_id", "time", "code", "numeric_value"
        ).iter_rows()
    )
    exact = sum((raw & ours).values())
    # float32 keeps some 7 digits, so a few large values differ in the third decimal place.
    assert sum(ours.values()) == sum(raw.values())
    assert exact > 0.999 * sum(raw.values())


def test_mimic_diagnoses_stand_at_their_admissions_discharge(mimic, mimic_tables):
    discharge = {
        row["hadm_id"]: row["dischtime"] for row in rows_of(mimic_tables / "hosp" / "admissions.csv.gz")
    }
    raw = Counter(
        (
            int(row["subject_id"]),
            discharge[row["hadm_id"]],
            f"DIAGNOSIS//ICD//{row['icd_version']}//{row['icd_code'].strip()}",
        )
        for row in rows_of(mimic_tables / "hosp" / "diagnoses_icd.csv.gz")
    )
    ours = events_of(mimic).filter(pl.col("code").str.starts_with("DIAGNOSIS//"))
    assert Counter((s, str(t), c) for s, t, c in ours.select("subject_id", "time", "code").iter_rows()) == raw


def test_mimic_nothing_tells_of_death_before_it(mimic):
    """No event that death causes stands before the death: DIED, billing and the end of the stay."""
    events = events_of(mimic)
    death = events.filter(pl.col("code") == "MEDS_DEATH").select("subject_id", death="time")
    died = events.join(death, on="subject_id").filter(pl.col("code") == "HOSPITAL_DISCHARGE//DIED")
    assert died.height == 15
    assert (died["time"] >= died["death"]).all()
    final = died.select("subject_id", left="time")
    after = events.join(final, on="subject_id").filter(pl.col("time") > pl.col("left"))
    assert not after["code"].str.contains("^(MEDICATION|HOSPITAL|ICU|DIAGNOSIS|DRG|TRANSFER)").any()


def test_mimic_medications_are_mostly_atc(mimic):
    codes = events_of(mimic)["code"]
    drugs = codes.filter(codes.str.starts_with("MEDICATION//"))
    assert drugs.str.starts_with("MEDICATION//ATC//").mean() > 0.9


def test_eicu_regions_have_the_published_counts(eicu_regions):
    published = {
        "midwest": (62, 618, 807), "south": (54, 537, 738), "west": (39, 384, 606),
        "unknown": (18, 180, 210), "northeast": (13, 129, 159),
    }  # fmt: skip
    assert sorted(path.name for path in eicu_regions.iterdir()) == sorted(published)
    for region, (hospitals, patients, stays) in published.items():
        assert_valid(eicu_regions / region)
        events = events_of(eicu_regions / region)
        assert events["hospitalid"].n_unique() == hospitals
        assert events["subject_id"].n_unique() == patients
        assert events["code"].str.starts_with("ICU_ADMISSION//").sum() == stays
        record = json.loads((eicu_regions / region / "metadata" / "extraction.json").read_text())
        assert record["sites"] == {region: {"subjects": patients, "visits": stays, "events": events.height}}
    subjects = pl.concat(events_of(path).select("subject_id").unique() for path in eicu_regions.iterdir())
    assert subjects["subject_id"].n_unique() == 1841


def test_eicu_deaths_equal_a_loop_over_the_raw_table(eicu_events, eicu_tables):
    died = defaultdict(set)
    for row in rows_of(eicu_tables / "patient.csv.gz"):
        status = row["hospitaldischargestatus"] or row["unitdischargestatus"]
        if status == "Expired":
            died[row["uniquepid"]].add(row["patienthealthsystemstayid"])
    stays = sum(len(stay) for stay in died.values())
    assert (eicu_events["code"] == "HOSPITAL_DISCHARGE//DIED").sum() == stays
    dead = eicu_events.filter(pl.col("code") == "MEDS_DEATH")
    assert dead.height == dead["subject_id"].n_unique() == len(died)


def test_eicu_times_within_a_hospital_stay_are_true_to_the_minute(eicu_events, eicu_tables):
    """Gaps between a patient's unit admissions of one hospital stay equal those of hospitaladmitoffset."""
    offsets = defaultdict(list)
    for row in rows_of(eicu_tables / "patient.csv.gz"):
        offsets[row["uniquepid"], row["patienthealthsystemstayid"]].append(-int(row["hospitaladmitoffset"]))
    expected = defaultdict(Counter)
    for (patient, _), admissions in offsets.items():
        first, second = patient.split("-")
        ordered = sorted(admissions)
        subject = int(first) * 10**10 + int(second)
        expected[subject].update(b - a for a, b in pairwise(ordered))
    admitted = eicu_events.filter(pl.col("code").str.starts_with("ICU_ADMISSION//")).sort(
        "subject_id", "time"
    )
    for (subject,), rows in admitted.group_by("subject_id"):
        times = rows["time"].sort().to_list()
        gaps = Counter(int((b - a).total_seconds() // 60) for a, b in pairwise(times))
        assert not expected[subject] - gaps


def test_eicu_hospital_stays_of_a_patient_never_meet(eicu_events):
    moves = eicu_events.filter(pl.col("code").str.contains("^HOSPITAL_(ADMISSION|DISCHARGE)//")).sort(
        "subject_id", "time"
    )
    for _, rows in moves.group_by("subject_id", maintain_order=True):
        kinds = [code.split("//")[0] for code in rows["code"]]
        assert kinds == ["HOSPITAL_ADMISSION", "HOSPITAL_DISCHARGE"] * (len(kinds) // 2)
        times = rows["time"].to_list()
        for discharge, admission in zip(times[1::2], times[2::2], strict=False):
            assert admission - discharge >= timedelta(days=GAP_DAYS)


def test_eicu_vitals_equal_a_loop_over_the_raw_table(eicu_events, eicu_tables):
    columns = ("noninvasivesystolic", "noninvasivediastolic", "noninvasivemean")
    raw = Counter()
    for row in rows_of(eicu_tables / "vitalaperiodic.csv.gz"):
        raw.update((column, float(row[column])) for column in columns if row[column] not in ("", "NA"))
    ours = eicu_events.filter(pl.col("code").str.contains("^VITAL//noninvasive"))
    counted = Counter(
        (code.split("//")[1], value) for code, value in ours.select("code", "numeric_value").iter_rows()
    )
    assert counted == raw


def test_eicu_births_follow_from_an_age_that_was_told(eicu_events, eicu_tables):
    ages = defaultdict(set)
    for row in rows_of(eicu_tables / "patient.csv.gz"):
        first, second = row["uniquepid"].split("-")
        if row["age"] not in ("", "NA"):
            ages[int(first) * 10**10 + int(second)].add(90 if ">" in row["age"] else int(row["age"]))
    births = eicu_events.filter(pl.col("code") == "MEDS_BIRTH").select("subject_id", "time").unique()
    assert set(births["subject_id"]) == set(ages)
    admissions = eicu_events.filter(pl.col("code").str.starts_with("HOSPITAL_ADMISSION"))
    years = defaultdict(set)
    for subject, time in admissions.select("subject_id", "time").iter_rows():
        # Hospital admission may stand at an earlier unit admission, in the week before the new year.
        years[subject] |= {time.year, (time + timedelta(days=7)).year}
    for subject, birth in births.iter_rows():
        assert {year - birth.year for year in years[subject]} & ages[subject]


def test_eicu_subset_with_laboratory_is_read_under_its_own_spelling(eicu_tables, tmp_path):
    """`admissionDx.csv.gz` and `physicalExam.csv.gz` are spelt as in the full data set."""
    root = shard("eicu", eicu_tables / "pyhealth-subset", tmp_path / "out")
    assert_valid(root)
    kinds = Counter(code.split("//")[0] for code in events_of(root)["code"])
    assert kinds["ADMISSION_DIAGNOSIS"] == len(
        rows_of(eicu_tables / "pyhealth-subset" / "admissionDx.csv.gz")
    )
    assert kinds["PHYSICAL_EXAM"] == len(rows_of(eicu_tables / "pyhealth-subset" / "physicalExam.csv.gz"))
    raw = rows_of(eicu_tables / "pyhealth-subset" / "lab.csv.gz")
    assert kinds["LAB"] == len(raw) == 29_961
    potassium = [
        row for row in raw if row["labname"] == "potassium" and row["labmeasurenamesystem"] == "mmol/L"
    ]
    assert (events_of(root)["code"] == "LAB//potassium//mmol/L").sum() == len(potassium)


@pytest.mark.slow
def test_eicu_by_hospital_has_186_sites_and_no_other_hospitals_rows(eicu_tables, tmp_path):
    out = shard("eicu", eicu_tables, tmp_path / "out", site_column="hospitalid")
    stays = Counter(row["hospitalid"] for row in rows_of(eicu_tables / "patient.csv.gz"))
    assert {path.name for path in out.iterdir()} == set(stays)
    assert len(stays) == 186
    for hospital, count in stays.items():
        events = events_of(out / hospital)
        assert set(events["hospitalid"]) == {hospital}
        assert events["code"].str.starts_with("ICU_ADMISSION//").sum() == count
