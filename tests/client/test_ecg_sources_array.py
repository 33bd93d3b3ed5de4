import doctest
import importlib
import pickle

import numpy as np
import pytest

from client.ecg.checks import MISSING
from client.ecg.sources.array import list_array, read_array
from client.ecg.sources.registry import SOURCES
from wardlaw.errors import ConfigError, DataError

TABLE = (
    "record,patient,age,sex,diagnoses,ward\na,p1,61,M,426783006;AF,east\nb,p1,-1,female,,west\nc,,,,wobbly,\n"
)


def signals(samples=1500):
    return np.random.default_rng(0).normal(0, 0.5, (3, samples, 12)).astype(np.float32)


def read_all(folder, **options):
    references = pickle.loads(pickle.dumps(list_array(folder, **options)))  # noqa: S301
    return {item.name: item for item in map(read_array, references)}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "records.csv").write_text(TABLE)
    (tmp_path / "source.toml").write_text("rate = 250\n")
    np.save(tmp_path / "signals.npy", signals())
    return tmp_path


def test_rows_and_places_go_together(folder):
    records = read_all(folder, site_column="ward")
    for record, original in zip(records.values(), signals(), strict=True):
        np.testing.assert_allclose(record.millivolts(), original, atol=0.0005 + 1e-9)
        assert record.rate == 250.0
    first, second, third = records.values()
    assert (first.patient, first.age, first.sex, first.site) == ("p1", 61.0, "male", "east")
    assert first.diagnoses == ("426783006", "164889003")
    assert (second.patient, second.sex, second.diagnoses, second.repairs) == ("p1", "female", (), ())
    assert np.isnan(second.age)
    assert (third.patient, third.site, third.repairs) == ("c", "unknown", ("unknown-diagnosis",))


def test_records_may_have_files_rates_and_lengths_of_their_own(folder):
    (folder / "signals.npy").unlink()
    (folder / "source.toml").unlink()
    (folder / "records.csv").write_text(
        "record,patient,age,sex,diagnoses,rate\na,,,,,100\nb,,,,,500\nc,,,,,360\n"
    )
    (folder / "signals").mkdir()
    np.save(folder / "signals" / "a.npy", signals(700)[0])
    np.save(folder / "signals" / "b.npy", signals(900)[1][:, :8])
    np.save(folder / "signals" / "extra.npy", signals(900)[1])
    outcomes = read_all(folder)
    assert (outcomes["a"].rate, outcomes["a"].digital.shape) == (100.0, (700, 12))
    reasons = {name: item.reason for name, item in outcomes.items() if name != "a"}
    assert reasons == {"b": "lead-count", "c": "no-signal", "extra": "not-in-table"}
    (folder / "signals" / "a.npy").write_bytes((folder / "signals" / "a.npy").read_bytes()[:500])
    assert read_all(folder)["a"].reason == "unreadable"


def test_samples_that_are_no_number_are_missing(folder):
    holed = signals()
    holed[1, 5, 2], holed[1, 6, 3] = np.nan, np.inf
    np.save(folder / "signals.npy", holed)
    digital = read_all(folder)["b"].digital
    assert np.argwhere(digital == MISSING).tolist() == [[5, 2], [6, 3]]


def test_errors_of_the_whole_source(folder):
    with pytest.raises(ConfigError, match="town"):
        list_array(folder, site_column="town")
    np.save(folder / "signals.npy", signals()[:2])
    with pytest.raises(DataError, match="3 records"):
        list_array(folder)
    np.save(folder / "signals.npy", signals())
    (folder / "source.toml").write_text("hertz = 250\n")
    with pytest.raises(DataError, match="rate = 500"):
        list_array(folder)
    (folder / "source.toml").unlink()
    with pytest.raises(DataError, match="record a has no rate"):
        list_array(folder)
    (folder / "records.csv").write_text(TABLE + "d,p\n")
    with pytest.raises(DataError, match="row 4"):
        list_array(folder)


@pytest.mark.parametrize("module", ["header", "demographics", "checks", "sources.digitise", "sources.array"])
def test_examples_in_docstrings_are_true(module):
    found = doctest.testmod(importlib.import_module(f"client.ecg.{module}"))
    assert found.attempted > 0
    assert found.failed == 0


def test_sources_are_found_by_name(folder):
    assert SOURCES.keys() == {"wfdb", "ptb-xl", "code-15", "array", "synthetic"}
    assert [name for name, source in SOURCES.items() if source.synthetic] == ["synthetic"]
    source = SOURCES["array"]
    assert [source.read(each).name for each in source.list(folder, None, "")] == ["a", "b", "c"]
