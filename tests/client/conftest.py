"""Hand-made source tables and the command line, for the tests of shards."""

# ruff: noqa: E501
import gzip
import sys

import pytest

from wardlaw.cli import main

MIMIC = {
    "patients": (
        "subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod",
        "1,F,40,2150,2011 - 2013,",
        "2,M,91,2160,2014 - 2016,2160-03-05",
        "3,M,50,2160,2014 - 2016,2160-04-05",
    ),
    "admissions": (
        "subject_id,hadm_id,admittime,dischtime,deathtime,admission_type,admission_location,discharge_location,"
        "insurance,marital_status,race,edregtime,edouttime",
        "1,11,2150-01-02 03:04:00,2150-01-05 06:00:00,,URGENT,EMERGENCY ROOM,HOME,Medicaid,SINGLE,BLACK/CAPE VERDEAN,,",
        "2,21,2160-03-01 10:00:00,2160-03-03 12:00:00,2160-03-03 12:30:00,EW EMER.,,DIED,Other,,WHITE - RUSSIAN,,",
    ),
    "icustays": (
        "subject_id,hadm_id,stay_id,first_careunit,last_careunit,intime,outtime,los",
        "1,11,111,MICU,SICU,2150-01-02 04:00:00,2150-01-05 07:00:00,3.1",
    ),
    "diagnoses_icd": ("subject_id,hadm_id,seq_num,icd_code,icd_version", "1,11,1,I10,10", "1,11,2,4019,9"),
    "d_icd_diagnoses": ("icd_code,icd_version,long_title", 'I10,10,"Essential, primary"'),
    "procedures_icd": (
        "subject_id,hadm_id,seq_num,chartdate,icd_code,icd_version",
        "1,11,1,2150-01-05,3961,9",
    ),
    "drgcodes": ("subject_id,hadm_id,drg_type,drg_code,description", "1,11,HCFA,864,FEVER"),
    "labevents": (
        "labevent_id,subject_id,hadm_id,itemid,charttime,value,valuenum,valueuom",
        "1,1,11,50912,2150-01-03 00:00:00,1.5,1.5,mg/dL",
        "2,1,11,51463,2150-01-03 00:00:00,NEG,,",
        "3,1,,50912,2150-01-02 12:00:00,inf,inf,mg/dL",
    ),
    "d_labitems": ("itemid,label,fluid,category", "50912,Creatinine,Blood,Chemistry"),
    "prescriptions": (
        "subject_id,hadm_id,starttime,stoptime,drug",
        "1,11,2150-01-03 08:00:00,,Aspirin",
        "1,11,2150-01-04 08:00:00,,Foo 5 mg Tab",
        "1,11,2150-01-05 08:00:00,,Aspirin",
    ),
    "transfers": (
        "subject_id,hadm_id,transfer_id,eventtype,careunit,intime,outtime",
        "1,11,1,admit,Ward,2150-01-02 03:05:00,2150-01-05 06:00:00",
        "1,11,2,discharge,,2150-01-05 06:00:00,",
    ),
}
_STAY = (
    "patientunitstayid,patienthealthsystemstayid,gender,age,ethnicity,hospitalid,admissionheight,hospitaladmittime24,"
    "hospitaladmitoffset,hospitaladmitsource,hospitaldischargeyear,hospitaldischargeoffset,hospitaldischargelocation,"
    "hospitaldischargestatus,unittype,unitadmitsource,unitvisitnumber,unitstaytype,admissionweight,dischargeweight,"
    "unitdischargeoffset,unitdischargelocation,unitdischargestatus,uniquepid"
)
EICU = {
    "patient": (
        _STAY,
        "2,100,Female,> 89,Caucasian,7,160,22:30:00,-720,Floor,2014,720,Home,Alive,MICU,Floor,2,readmit,,,700,Floor,Alive,002-7",
        "1,100,Female,> 89,Caucasian,7,160,22:30:00,-60,Floor,2014,1380,Home,Alive,MICU,Floor,1,admit,,,600,Floor,Alive,002-7",
        "3,99,Female,> 89,Caucasian,8,160,06:00:00,0,,2014,100,Death,Expired,SICU,Floor,1,admit,,,90,Death,Expired,002-7",
    ),
    "hospital": (
        "hospitalid,numbedscategory,teachingstatus,region",
        "7,<100,FALSE,Midwest",
        "8,>= 500,TRUE,",
    ),
    "diagnosis": (
        "diagnosisid,patientunitstayid,activeupondischarge,diagnosisoffset,diagnosisstring,icd9code,diagnosispriority",
        '1,1,True,10,cardiovascular|hypertension,"401.9, I10",Major',
        "2,1,True,11,neurologic|pain / other,,Other",
        "3,2,True,-30,renal|failure,584.9,Other",
    ),
    "vitalAperiodic": (
        "vitalaperiodicid,patientunitstayid,observationoffset,noninvasivesystolic,noninvasivediastolic,"
        "noninvasivemean,paop,cardiacoutput,cardiacinput,svr,svri,pvr,pvri",
        "1,1,30,120,,90,,,,,,,",
    ),
    "apacheApsVar": (
        "apacheapsvarid,patientunitstayid,intubated,vent,dialysis,eyes,motor,verbal,meds,urine,wbc,temperature,"
        "respiratoryrate,sodium,heartrate,meanbp,ph,hematocrit,creatinine,albumin,pao2,pco2,bun,glucose,bilirubin,fio2",
        "1,1," + ",".join(["-1"] * 8) + ",12.5," + ",".join(["-1"] * 15),
    ),
}


def write_tables(folder, tables):
    """Write tables given as lines, as ``.csv.gz`` files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in tables.items():
        with gzip.open(folder / f"{name}.csv.gz", "wt") as file:
            file.write("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def write_source(tmp_path):
    """Write a source's tables, with some replaced by other lines or (None) left out."""

    def write(source, **replaced):
        tables = {**{"mimic-iv": MIMIC, "eicu": EICU}[source], **replaced}
        kept = {name: lines for name, lines in tables.items() if lines is not None}
        return write_tables(tmp_path / "source", kept)

    return write


@pytest.fixture
def wardlaw(monkeypatch, capsys):
    """Run ``wardlaw`` in this process: exit status, standard output, standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["wardlaw", *map(str, arguments)])
        status = 0
        try:
            main()
        except SystemExit as stop:
            status = stop.code or 0
        written = capsys.readouterr()
        return status, written.out, written.err

    return run
