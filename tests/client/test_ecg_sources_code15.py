import pickle

import h5py
import numpy as np
import pytest

from client.ecg.record import EcgRecord
from client.ecg.sources.code15 import list_code15, read_code15, without_padding
from wardlaw.errors import ConfigError, DataError

HEADER = (
    "exam_id,age,is_male,nn_predicted_age,1dAVb,RBBB,LBBB,SB,ST,AF,patient_id,"
    "death,timey,normal_ecg,trace_file"
)
ROWS = (
    "101,38,True,40.1,False,False,False,False,False,False,7,False,2.1,True,exams_part0.hdf5",
    "102,73,False,70.2,True,True,False,False,False,True,8,,,False,exams_part0.hdf5",
    "103,,,,False,False,False,False,False,False,7,,,False,exams_part1.hdf5",
    "104,50,True,51,False,False,True,True,True,False,9,,,False,exams_part9.hdf5",
)


def tracing(samples, seed):
    recorded = np.random.default_rng(seed).normal(0, 0.5, (samples, 12)).astype(np.float32)
    before = (4096 - samples) // 2
    return np.pad(recorded, ((before, 4096 - samples - before), (0, 0)))


def write_part(folder, number, exams, tracings):
    with h5py.File(folder / f"exams_part{number}.hdf5", "w") as file:
        file["exam_id"] = np.array(exams, np.int64)
        file["tracings"] = np.stack(tracings)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "exams.csv").write_text("\n".join([HEADER, *ROWS]) + "\n")
    write_part(
        tmp_path, 0, [102, 101, 0], [tracing(2800, 2), tracing(4000, 1), np.zeros((4096, 12), np.float32)]
    )
    write_part(tmp_path, 1, [103, 999, 101], [tracing(4096, 3), tracing(4000, 4), tracing(4000, 5)])
    return tmp_path


def read_all(folder, **options):
    references = pickle.loads(pickle.dumps(list_code15(folder, **options)))  # noqa: S301
    return {item.name: item for item in map(read_code15, references)}


def test_exams_become_records(folder):
    records = read_all(folder, site_column="trace_file")
    first, second, third = (records[name] for name in ("101", "102", "103"))
    assert (first.patient, first.age, first.sex, first.rate) == ("7", 38.0, "male", 400.0)
    assert first.diagnoses == ("426783006",)
    assert (second.patient, second.age, second.sex) == ("8", 73.0, "female")
    assert second.diagnoses == ("270492004", "59118001", "164889003")
    assert (third.patient, third.sex, third.diagnoses) == ("7", "", ())
    assert np.isnan(third.age)
    assert second.site == "exams_part0.hdf5"
    assert [len(record.digital) for record in (first, second, third)] == [4000, 2800, 4096]
    for record, seed in ((first, 1), (second, 2), (third, 3)):
        original = without_padding(tracing(len(record.digital), seed))
        np.testing.assert_allclose(record.millivolts(), original, atol=0.0005 + 1e-9)


def test_exams_and_tracings_without_the_other_are_counted(folder):
    outcomes = {name: getattr(item, "reason", "read") for name, item in read_all(folder).items()}
    assert outcomes == {
        "101": "read",
        "102": "read",
        "103": "read",
        "104": "no-signal",
        "exams_part0/2": "not-in-table",
        "exams_part1/1": "not-in-table",
        "exams_part1/2": "not-in-table",
    }


def test_zeros_within_a_tracing_stay():
    inner = np.ones((10, 12))
    inner[4:6] = 0
    inner[0, 1:] = 0
    np.testing.assert_array_equal(without_padding(np.pad(inner, ((3, 5), (0, 0)))), inner)
    assert without_padding(np.zeros((10, 12))).shape == (0, 12)


def test_an_empty_tracing_is_a_record_without_samples(folder):
    write_part(folder, 0, [101, 102], [np.zeros((4096, 12), np.float32), tracing(2800, 2)])
    (folder / "exams_part1.hdf5").unlink()
    record = read_all(folder)["101"]
    assert isinstance(record, EcgRecord)
    assert record.digital.shape == (0, 12)


def test_errors_of_the_whole_source(folder):
    with pytest.raises(ConfigError, match="hospital"):
        list_code15(folder, site_column="hospital")
    (folder / "exams_part1.hdf5").write_bytes(b"no HDF5")
    with pytest.raises(DataError, match="exams_part1"):
        list_code15(folder)
    with h5py.File(folder / "exams_part1.hdf5", "w") as file:
        file["exam_id"], file["tracings"] = np.array([103, 104]), np.zeros((1, 4096, 12))
    with pytest.raises(DataError, match="2 exams"):
        list_code15(folder)
    for part in folder.glob("*.hdf5"):
        part.unlink()
    with pytest.raises(DataError, match="no HDF5 parts"):
        list_code15(folder)
