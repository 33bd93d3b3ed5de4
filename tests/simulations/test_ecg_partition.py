"""Partitions of one signal shard: no patient at two sites or in another split, records as they were."""

import json
from dataclasses import replace

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from client.ecg.record import LEADS
from client.ecg.request import ShardSettings
from client.ecg.shard import SPLITS, SignalShard
from client.ecg.shard_writer import write_shard
from client.ecg.synthetic.record import synthetic_record
from client.ecg.synthetic.site import Device, SyntheticSite
from simulations.ecg import commands
from simulations.ecg.device_shift import SHIFTED, DeviceShift, drawn_shift, shifted
from simulations.ecg.partition import rarest_classes
from simulations.ecg.shard_records import patients_of, records_of
from wardlaw.errors import DataError

app = typer.Typer()
app.command()(commands.ecg_partition)

SITE = SyntheticSite(
    site="source", patients=90, seconds=4, prevalence={"AF": 0.3, "CRBBB": 0.3}, device=Device(rate=100)
)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """60 patients of one or two records (synthetic)."""
    records = [synthetic_record(SITE, number) for number in range(90)]
    records = [replace(record, patient=f"p{number % 60:03}") for number, record in enumerate(records)]
    folder = tmp_path_factory.mktemp("source") / "shard"
    write_shard(folder, records, ShardSettings(), site="source", source="synthetic", synthetic=True)
    return SignalShard.open(folder)


def divide(source, out, kind, *arguments):
    command = ["--shard", source.folder, "--out", out, "--kind", kind, "--json", *arguments]
    result = CliRunner().invoke(app, list(map(str, command)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    return told, {site: SignalShard.open(out / site) for site in told["sites"]}


def split_by_record(shard):
    return {name: split for split in SPLITS for name in shard.split(split).records.tolist()}


def records_by_name(shard):
    return {record.name: record for record in records_of(shard)}


@pytest.mark.parametrize("kind", ["dirichlet", "quantity", "device"])
def test_every_patient_is_at_one_site_and_in_its_split(source, tmp_path, kind):
    told, shards = divide(source, tmp_path / "out", kind, "--sites", 3, "--seed", 4)
    patients = [set(patients_of(shard)) for shard in shards.values()]
    assert sum(map(len, patients)) == len(set.union(*patients)) == 60
    assert set.union(*patients) == set(patients_of(source))
    merged = {name: split for shard in shards.values() for name, split in split_by_record(shard).items()}
    assert merged == split_by_record(source)
    for site, shard in shards.items():
        assert shard.manifest.tokenizer == source.manifest.tokenizer
        assert shard.manifest.synthetic is True
        assert shard.manifest.source.startswith(f"synthetic, partition {kind}")
        assert not shard.manifest.quarantined
        assert told["sites"][site]["patients"] == len(patients_of(shard))
        assert sum(told["sites"][site]["records"].values()) == shard.manifest.records_read


def test_records_are_as_they_were(source, tmp_path):
    _, shards = divide(source, tmp_path / "out", "dirichlet", "--sites", 2)
    before = records_by_name(source)
    after = {name: record for shard in shards.values() for name, record in records_by_name(shard).items()}
    assert before.keys() == after.keys()
    for name, record in after.items():
        np.testing.assert_array_equal(record.digital, before[name].digital)
        np.testing.assert_array_equal(record.gain, before[name].gain)
        assert (record.age, record.sex, record.diagnoses, record.patient) == (
            before[name].age,
            before[name].sex,
            before[name].diagnoses,
            before[name].patient,
        )


def test_skew_is_what_is_asked_for(source, tmp_path):
    def distances(name, kind, alpha):
        told, _ = divide(source, tmp_path / name, kind, "--sites", 4, "--alpha", alpha)
        sites = told["sites"].values()
        return np.mean([s["label_distance"] for s in sites]), np.ptp([s["patients"] for s in sites])

    skewed, equal = distances("a", "dirichlet", 0.1)
    alike, _ = distances("b", "dirichlet", 1000)
    assert skewed > alike + 0.1
    assert equal <= 1
    assert distances("c", "quantity", 0.3)[1] > 10


def test_one_division_under_one_seed(source, tmp_path):
    def homes(name, seed):
        _, shards = divide(source, tmp_path / name, "dirichlet", "--seed", seed, "--sites", 2)
        return {site: set(patients_of(shard)) for site, shard in shards.items()}

    assert homes("a", 1) == homes("b", 1) != homes("c", 2)


def test_devices_are_told_and_mark_every_record(source, tmp_path):
    told, shards = divide(source, tmp_path / "out", "device", "--sites", 2, "--seed", 1)
    before = records_by_name(source)
    for site, shard in shards.items():
        assert "device shift (gain " in shard.manifest.source
        assert shard.manifest.repairs[SHIFTED] == shard.manifest.records_read
        device = told["sites"][site]["device"]
        assert DeviceShift(**device) == drawn_shift(site, 1)
        for name, record in records_by_name(shard).items():
            own, altered = before[name].millivolts(), record.millivolts()
            ratio = np.sum(own * altered) / np.sum(own * own)
            assert ratio == pytest.approx(device["gain"], abs=0.12)


def test_a_shift_changes_gain_noise_and_bandwidth_each_by_itself():
    record = synthetic_record(SITE, 0)
    louder = shifted(record, DeviceShift(1.1, 0.0, 1.0), seed=0)
    np.testing.assert_allclose(louder.millivolts(), 1.1 * record.millivolts(), atol=6e-4)
    noisy = shifted(record, DeviceShift(1.0, 0.05, 1.0), seed=0)
    added = noisy.millivolts() - record.millivolts()
    assert added[:, [0, 1, 6, 11]].std(axis=0) == pytest.approx(0.05, rel=0.2)
    one, two, three, right, left, foot = noisy.millivolts()[:, :6].T
    np.testing.assert_allclose(two - one, three, atol=2e-3)
    np.testing.assert_allclose(-(one + two) / 2, right, atol=2e-3)
    np.testing.assert_allclose(one - two / 2, left, atol=2e-3)
    np.testing.assert_allclose(two - one / 2, foot, atol=2e-3)
    slower = shifted(record, DeviceShift(1.0, 0.0, 0.5), seed=0)
    assert slower.rate == 50
    assert slower.digital.shape == (200, len(LEADS))
    # It depends on the seed and the record's name, not on the order of reading.
    again = shifted(record, DeviceShift(1.0, 0.05, 1.0), seed=0)
    np.testing.assert_array_equal(again.digital, noisy.digital)
    assert not np.array_equal(shifted(record, DeviceShift(1.0, 0.05, 1.0), seed=1).digital, noisy.digital)


def test_a_patients_label_is_the_rarest_of_all():
    assert rarest_classes({"a": {"1", "2"}, "b": {"2"}, "c": {"1", "3"}, "d": {"1"}}) == {
        "a": "2",
        "b": "2",
        "c": "3",
        "d": "1",
    }


def test_too_few_patients_and_folders_in_use_are_refused(source, tmp_path):
    with pytest.raises(DataError, match="too few"):
        divide(source, tmp_path / "out", "quantity", "--sites", 30)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(DataError, match="not empty"):
        divide(source, tmp_path / "full", "quantity", "--sites", 2)
