import csv
import pickle
import re

import numpy as np
import pytest
import wfdb

from client.ecg.classes import class_of
from client.ecg.record import LEADS, EcgRecord, Quarantined
from client.ecg.sources.ptb_xl import STATEMENTS, list_ptb_xl, read_ptb_xl
from wardlaw.errors import ConfigError, DataError

COLUMNS = (
    "ecg_id,patient_id,age,sex,device,heart_axis,scp_codes,strat_fold,filename_lr,filename_hr"
)  # fmt: skip
ROWS = (
    "1,15709.0,56.0,1,CS-12,ALAD,\"{'NORM': 100.0, 'LVOLT': 0.0, 'SR': 0.0}\",3",
    "2,13243.0,300.0,0,,,\"{'SBRAD': 0.0, 'XYZ': 15.0}\",10.0",
    "3,,,,AT-6,RAD,{},9",
)


def names_of(number):
    return f"records100/00000/{number:05d}_lr", f"records500/00000/{number:05d}_hr"


def write_table(folder, rows=ROWS):
    lines = [f"{row},{','.join(names_of(number))}" for number, row in enumerate(rows, start=1)]
    (folder / "ptbxl_database.csv").write_text("\n".join([COLUMNS, *lines]) + "\n")


def write_record(folder, name, rate):
    path = folder / f"{name}.hea"
    path.parent.mkdir(parents=True, exist_ok=True)
    digital = np.random.default_rng(0).integers(-900, 900, (10 * rate, 12))
    wfdb.wrsamp(
        path.stem,
        fs=rate,
        units=["mV"] * 12,
        sig_name=[name.upper() for name in LEADS],
        d_signal=digital,
        fmt=["16"] * 12,
        adc_gain=[1000.0] * 12,
        baseline=[0] * 12,
        write_dir=str(path.parent),
    )
    return digital


@pytest.fixture
def folder(tmp_path):
    write_table(tmp_path)
    for number in (1, 2, 3):
        for name, rate in zip(names_of(number), (100, 500), strict=True):
            write_record(tmp_path, name, rate)
    return tmp_path


def read_all(folder, **options):
    return [read_ptb_xl(pickle.loads(pickle.dumps(each))) for each in list_ptb_xl(folder, **options)]  # noqa: S301


def test_rows_become_records(folder):
    first, second, third = read_all(folder, site_column="device")
    assert (first.name, first.patient, first.age, first.sex, first.fold) == (
        "00001_hr",
        "15709",
        56.0,
        "female",
        3,
    )
    assert first.rate == 500.0
    assert first.diagnoses == ("426783006", "251146004", "39732003")
    assert (second.patient, second.age, second.sex, second.fold) == ("13243", 90.0, "male", 10)
    assert second.diagnoses == ("426177001",)
    assert (third.patient, third.sex, third.fold) == ("00003_hr", "", 9)
    assert np.isnan(third.age)
    assert third.diagnoses == ("47665007",)
    assert [record.site for record in (first, second, third)] == ["CS-12", "unknown", "AT-6"]


def test_the_lower_rate_is_read_where_the_higher_is_not_there(folder):
    for path in (folder / "records500").rglob("*.*"):
        path.unlink()
    records = read_all(folder)
    assert [record.rate for record in records] == [100.0] * 3
    assert records[0].name == "00001_lr"


def test_what_table_and_folder_do_not_share_is_counted(folder):
    (folder / "records500/00000/00002_hr.hea").unlink()
    write_record(folder, "records500/01000/01234_hr", 500)
    outcomes = {item.name: getattr(item, "reason", "read") for item in read_all(folder)}
    assert outcomes == {
        "00001_hr": "read",
        "00002_hr": "no-header",
        "00003_hr": "read",
        "01234_hr": "not-in-table",
    }


def test_a_row_that_is_no_dictionary_loses_its_record_only(folder):
    write_table(folder, (ROWS[0], ROWS[1].replace("{'SBRAD'", "{'SBRAD"), ROWS[2]))
    outcomes = read_all(folder)
    assert [type(item) for item in outcomes] == [EcgRecord, Quarantined, EcgRecord]
    assert outcomes[1].reason == "bad-row"


def test_errors_of_the_whole_source(folder, tmp_path_factory):
    with pytest.raises(ConfigError, match="nurse"):
        list_ptb_xl(folder, site_column="nurse")
    with pytest.raises(ConfigError, match="--patients"):
        list_ptb_xl(folder, patients=folder / "ptbxl_database.csv")
    with pytest.raises(DataError, match=r"ptbxl_database\.csv: no such file"):
        list_ptb_xl(tmp_path_factory.mktemp("empty"))
    bare = tmp_path_factory.mktemp("bare")
    write_table(bare)
    with pytest.raises(DataError, match="records500"):
        list_ptb_xl(bare)
    (bare / "ptbxl_database.csv").write_text("ecg_id,age\n1,5\n")
    with pytest.raises(DataError, match="patient_id"):
        list_ptb_xl(bare)


@pytest.fixture(scope="module")
def challenge(shared_data):
    """The Challenge's codes of PTB-XL's records, by ``ecg_id``."""
    with (shared_data / "ecg" / "labels" / "cinc2020_labels_37749.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if re.fullmatch(r"HR\d+", row["record"])]
    codes = [column for column in rows[0] if column.isdecimal()]
    return {row["record"][2:].lstrip("0"): {code for code in codes if row[code] == "1"} for row in rows}


SINGLE = {"SR", "NORM", "AFIB", "AFLT", "STACH", "SBRAD", "SARRH", "PACE", "CLBBB", "CRBBB", "IRBBB", "PAC",
          "LPR", "QWAVE", "LNGQT", "LVOLT", "INVT", "NDT", "LOWT", "SVARR"}  # fmt: skip
RENAMED = {"TAB": "TAB_", "NT": "NT_"}


def test_statements_have_the_codes_that_the_challenge_gave_them(shared_data, challenge):
    seen = set()
    for table in ("form", "rhythm", "sub_class"):
        with (shared_data / "ecg" / "labels" / f"ptbxl_{table}.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                given = {class_of(code) for code in challenge.get(row["ecg_id"], ())}
                for column in (SINGLE | RENAMED.keys()) & row.keys():
                    if row[column] == "1" and given:
                        statement = RENAMED.get(column, column)
                        assert class_of(STATEMENTS[statement]) in given, (row["ecg_id"], statement)
                        seen.add(statement)
    assert seen == SINGLE | set(RENAMED.values())
