import csv
import hashlib
import pickle
from collections import Counter

import numpy as np
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st

from client.ecg.checks import LEAD_ORDER_MV, MISSING, checked, limb_errors
from client.ecg.record import LEADS, EcgRecord, Quarantined
from client.ecg.sources.wfdb import list_wfdb, read_wfdb
from wardlaw.errors import ConfigError, DataError

SAMPLES = 2000


def twelve_leads(seed=0, samples=SAMPLES):
    one, two, *chest = np.random.default_rng(seed).normal(0, 0.3, (8, samples))
    three = two - one
    return np.stack([one, two, three, -(one + two) / 2, (one - three) / 2, (two + three) / 2, *chest], axis=1)


def write(
    folder, name="r", digital=None, fmt="16", units="mV", names=LEADS, gain=200.0, comments=("Age: 50",)
):
    """A WFDB record; its integers."""
    digital = np.rint(twelve_leads() * 200 + 3).astype(np.int64) if digital is None else digital
    many = digital.shape[1]
    wfdb.wrsamp(
        name,
        fs=500,
        units=[units] * many,
        sig_name=list(names),
        d_signal=digital,
        fmt=[fmt] * many,
        adc_gain=[gain] * many,
        baseline=[3] * many,
        comments=list(comments),
        write_dir=str(folder),
    )
    return digital


def only(folder, **options):
    (reference,) = list_wfdb(folder, **options)
    return read_wfdb(pickle.loads(pickle.dumps(reference)))  # noqa: S301


def edit(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize("fmt", ["16", "212", "24", "32"])
def test_integers_come_back_as_they_were_written(tmp_path, fmt):
    digital = write(tmp_path, fmt=fmt)
    record = only(tmp_path)
    np.testing.assert_array_equal(record.digital, digital)
    assert record.digital.dtype == np.int32
    np.testing.assert_array_equal(record.gain, 200.0)
    np.testing.assert_array_equal(record.baseline, 3.0)
    assert record.rate == 500.0
    physical = wfdb.rdrecord(str(tmp_path / "r")).p_signal
    np.testing.assert_allclose(record.millivolts(), physical, rtol=1e-12)


def test_leads_are_put_in_order_by_name_and_others_left_out(tmp_path):
    digital = write(tmp_path, digital=np.random.default_rng(2).integers(-900, 900, (SAMPLES, 15)), names=(
        "vx", "V6", "v5", "V4", "V3", "vy", "V2", "V1", "aVF", "avl", "AVR", "iii", "ii", "i", "vz",
    ))  # fmt: skip
    np.testing.assert_array_equal(
        only(tmp_path).digital, digital[:, [13, 12, 11, 10, 9, 8, 7, 6, 4, 3, 2, 1]]
    )


@pytest.mark.parametrize(
    ("units", "per_millivolt"), [("uV", 1e3), ("mv", 1.0), ("V", 1e-3), ("nV", 1e6), ("\u00b5V", 1e3)]
)
def test_units_go_into_the_gain(tmp_path, units, per_millivolt):
    write(tmp_path)
    edit(tmp_path / "r.hea", "/mV", f"/{units}")
    record = only(tmp_path)
    np.testing.assert_allclose(record.gain, 200.0 * per_millivolt)
    assert record.repairs == (("micro-sign",) if units == "\u00b5V" else ())


def cut(folder):
    (folder / "r.dat").write_bytes((folder / "r.dat").read_bytes()[:-100])


def lengthen(folder):
    edit(folder / "r.hea", f"r 12 500 {SAMPLES}", "r 12 500 1000000000000")


def damage(folder):
    data = bytearray((folder / "r.dat").read_bytes())
    data[1000] ^= 4
    (folder / "r.dat").write_bytes(bytes(data))


def dangle(folder):
    (folder / "r.hea").unlink()
    (folder / "r.hea").symlink_to(folder / "nowhere.hea")


def replace_by_folder(folder):
    (folder / "r.hea").unlink()
    (folder / "r.hea").mkdir()


FAULTS = {
    "truncated": (cut, "unreadable"),
    "longer than memory": (lengthen, "unreadable"),
    "one bit changed": (damage, "checksum"),
    "header only": (lambda f: (f / "r.dat").unlink(), "no-signal"),
    "header that leads nowhere": (dangle, "no-header"),
    "header that is a folder": (replace_by_folder, "no-header"),
    "binary only": (lambda f: (f / "r.hea").unlink(), "no-header"),
    "empty header": (lambda f: (f / "r.hea").write_text(""), "unreadable"),
    "no header at all": (lambda f: (f / "r.hea").write_bytes(bytes(range(256))), "unreadable"),
    "zero length": (lambda f: edit(f / "r.hea", f"500 {SAMPLES}", "500 0"), "too-short"),
    "gain NaN": (lambda f: edit(f / "r.hea", "200.0(3)/mV", "NaN/mV"), "impossible-gain"),
    "gain zero": (lambda f: edit(f / "r.hea", "200.0(3)/mV", "0/mV"), "impossible-gain"),
    "wrong unit": (lambda f: edit(f / "r.hea", "/mV", "/mmHg"), "unknown-unit"),
    "unknown format": (lambda f: edit(f / "r.hea", "r.dat 16", "r.dat 999"), "unreadable"),
    "signal elsewhere": (lambda f: edit(f / "r.hea", "r.dat", "../r.dat"), "unreadable"),
    "lead missing": (lambda f: edit(f / "r.hea", " aVF", " marker"), "lead-missing"),
    "lead repeated": (lambda f: edit(f / "r.hea", " aVF", " V1"), "lead-repeated"),
    "fewer lines than signals": (
        lambda f: (f / "r.hea").write_text("\n".join((f / "r.hea").read_text().splitlines()[:6])),
        "unreadable",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_bad_record_has_one_clear_reason_and_the_next_is_read(tmp_path, name):
    spoil, reason = FAULTS[name]
    write(tmp_path)
    write(tmp_path, "sound")
    spoil(tmp_path)
    records = {item.name.removesuffix(".dat"): item for item in map(read_wfdb, list_wfdb(tmp_path))}
    assert sorted(records) == ["r", "sound"]
    assert isinstance(records["sound"], EcgRecord)
    assert isinstance(records["r"], Quarantined)
    assert records["r"].reason == reason


def test_a_mended_header_cannot_reach_out_of_its_folder(tmp_path):
    (tmp_path / "inner").mkdir()
    write(tmp_path / "inner")
    edit(tmp_path / "inner" / "r.hea", "r 12", "r.x 12")
    edit(tmp_path / "inner" / "r.hea", "r.dat", "../r.dat")
    read = [read_wfdb(reference) for reference in list_wfdb(tmp_path)]
    assert [(item.name, item.reason) for item in read] == [("inner/r", "unreadable")]


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spoilt")
    write(folder)
    return folder, (folder / "r.hea").read_text()


@settings(max_examples=80, deadline=None)
@given(place=st.floats(0, 1), length=st.integers(0, 40), put=st.text("019.-+/x:() \n#~rV\u00e9", max_size=12))
def test_no_header_stops_the_reading(spoilt, place, length, put):
    folder, text = spoilt
    start = round(place * len(text))
    (folder / "r.hea").write_text(text[:start] + put + text[start + length :])
    outcomes = [read_wfdb(reference) for reference in list_wfdb(folder)]
    assert outcomes
    assert all(
        isinstance(checked(item), (EcgRecord, Quarantined)) for item in outcomes if hasattr(item, "gain")
    )


def test_missing_samples_are_told_from_low_ones(tmp_path):
    digital = write(tmp_path)
    digital[7, 2] = -32768
    write(tmp_path, digital=digital)
    record = only(tmp_path)
    assert record.digital[7, 2] == MISSING
    assert (record.digital == MISSING).sum() == 1
    assert checked(record).reason == "missing-samples"


def write_frames(folder, signals, names, frame):
    """A record at 125 frames a second, with so many samples of each signal in a frame."""
    many = len(signals)
    wfdb.Record(
        record_name="r",
        n_sig=many,
        fs=125,
        sig_len=len(signals[0]) // frame[0],
        samps_per_frame=frame,
        file_name=["r.dat"] * many,
        fmt=["16"] * many,
        adc_gain=[200.0] * many,
        baseline=[0] * many,
        units=["mV"] * many,
        sig_name=names,
        adc_res=[16] * many,
        adc_zero=[0] * many,
        init_value=[int(signal[0]) for signal in signals],
        checksum=[int(signal.sum() % 65536) for signal in signals],
        block_size=[0] * many,
        e_d_signal=signals,
    ).wrsamp(expanded=True, write_dir=str(folder))


def test_leads_keep_their_rate_where_others_have_another(tmp_path):
    digital = np.rint(twelve_leads() * 200).astype(np.int64)
    marker = np.arange(SAMPLES // 4)
    write_frames(tmp_path, [*digital.T, marker], [*LEADS, "marker"], [4] * 12 + [1])
    record = only(tmp_path)
    assert record.rate == 500.0
    np.testing.assert_array_equal(record.digital, digital)


def test_leads_of_different_rates_are_not_mixed(tmp_path):
    digital = np.rint(twelve_leads() * 200).astype(np.int64)
    write_frames(tmp_path, [*digital.T[:11], digital[::2, 11]], list(LEADS), [4] * 11 + [2])
    assert only(tmp_path).reason == "mixed-rates"


def test_a_record_of_segments_is_one_record(tmp_path):
    parts = [write(tmp_path, name) for name in ("first", "second")]
    (tmp_path / "whole.hea").write_text(f"whole/2 12 500 {2 * SAMPLES}\nfirst {SAMPLES}\nsecond {SAMPLES}\n")
    record = only(tmp_path)
    assert record.name == "whole"
    np.testing.assert_array_equal(record.digital, np.concatenate(parts))


def test_a_record_that_is_its_own_segment_is_not_lost(tmp_path):
    write(tmp_path)
    (tmp_path / "r.hea").write_text(f"r/1 12 500 {SAMPLES}\nr {SAMPLES}\n")
    outcomes = {item.name: item.reason for item in map(read_wfdb, list_wfdb(tmp_path))}
    assert outcomes == {"r": "unreadable"}


def test_comments_tell_age_sex_and_diagnoses(tmp_path):
    write(tmp_path, comments=["Age: 61", "Sex: F", "Dx: AF,RBBB,59118001,Wobbly"])
    record = only(tmp_path)
    assert (record.age, record.sex) == (61.0, "female")
    assert record.diagnoses == ("164889003", "59118001")
    assert record.repairs == ("unknown-diagnosis",)
    write(tmp_path, comments=["Age: NaN", "Sex: Unknown", "Dx: Unknown"])
    record = only(tmp_path)
    assert np.isnan(record.age)
    assert (record.sex, record.diagnoses, record.repairs) == ("", (), ())


def test_patients_and_sites_come_from_a_table(tmp_path):
    folder = tmp_path / "data"
    for place in ("north", "south"):
        (folder / place).mkdir(parents=True)
        write(folder / place)
    table = tmp_path / "patients.csv"
    table.write_text("record,patient,device\nnorth/r,Ann,Schiller\n")
    told = {each.name: each for each in list_wfdb(folder, table, "device")}
    assert {name: (each.patient, each.site) for name, each in told.items()} == {
        "north/r": ("Ann", "Schiller"),
        "south/r": ("south/r", "unknown"),
    }
    assert [each.site for each in list_wfdb(folder, site_column="folder")] == ["north", "south"]
    with pytest.raises(ConfigError, match="device"):
        list_wfdb(folder, site_column="device")
    table.write_text("record,patient\nr,Ann\n")
    with pytest.raises(DataError, match="north/r"):
        list_wfdb(folder, table)
    table.write_text("record,patient\nnorth/r,Ann\nnorth/r,Bob\n")
    with pytest.raises(DataError, match="twice"):
        list_wfdb(folder, table)


def test_a_folder_without_records_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no WFDB records"):
        list_wfdb(tmp_path)


@pytest.fixture(scope="module")
def ecg(shared_data):
    return shared_data / "ecg"


@pytest.fixture(scope="module")
def real(ecg):
    return {item.name: item for item in map(read_wfdb, list_wfdb(ecg))}


@pytest.fixture(scope="module")
def manifest(ecg):
    with (ecg / "MANIFEST.csv").open(newline="") as file:
        return {f"{row['dir']}/{row['record']}": row for row in csv.DictReader(file)}


def test_all_real_records_are_read_and_none_is_doubted(real, manifest):
    assert real.keys() == manifest.keys()
    assert len(real) == 327
    assert all(isinstance(checked(record), EcgRecord) for record in real.values())
    assert Counter(repair for record in real.values() for repair in record.repairs) == {"record-name": 44}


def test_real_records_are_what_the_manifest_says(real, manifest):
    for name, row in manifest.items():
        record = real[name]
        assert (record.rate, len(record.digital)) == (float(row["fs"]), int(row["nsamp"]))
        assert set(record.diagnoses) == set(row["dx"].split(",")), name
        assert record.sex == {"m": "male", "f": "female"}[row["sex"][0].lower()]
        known = row["age"] not in ("", "NaN", "-1", "nan")
        assert record.age == float(row["age"]) if known else np.isnan(record.age)


def test_real_integers_are_those_of_the_matlab_files(ecg, real, manifest):
    for name, row in manifest.items():
        data = (ecg / f"{name}.mat").read_bytes()
        assert hashlib.sha256(data).hexdigest() == row["sha256"]
        np.testing.assert_array_equal(
            real[name].digital, np.frombuffer(data, "<i2", offset=24).reshape(-1, 12)
        )


def test_einthoven_holds_on_real_records(real):
    worst = {name: limb_errors(record).max(axis=0) for name, record in real.items()}
    assert max(errors[0] for errors in worst.values()) <= LEAD_ORDER_MV
    assert max(errors.max() for errors in worst.values()) <= LEAD_ORDER_MV
