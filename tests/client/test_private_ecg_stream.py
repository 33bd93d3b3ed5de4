"""Draws of patients with records: who, how often, and which of their samples."""

import numpy as np
import pytest
import torch

from client.ecg.private_stream import PatientStream
from client.ecg.request import ShardSettings
from client.ecg.shard import SignalShard
from client.ecg.shard_writer import write_shard
from client.privacy.draw import PoissonDraws
from tests.noise_ecg import noise, noise_shard
from wardlaw.errors import ConfigError, ShardError

CONTEXT, KEY = 512, bytes(range(32))


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("noise")
    return [(site, noise_shard(folder / site, site)) for site in "ab"]


@pytest.fixture(scope="module")
def two_records(tmp_path_factory):
    """A shard (synthetic) where patient i has records 2 i of one slot and 2 i + 1 of two slots."""
    folder = tmp_path_factory.mktemp("two") / "c"
    records = []
    for number in range(40):
        record = noise("c", number, 1000 if number % 2 else 500)
        records.append(record.__class__(**{**vars(record), "patient": f"p{number // 2:02}"}))
    write_shard(
        folder, records, ShardSettings(rate=100.0), site="c", source="synthetic noise", synthetic=True
    )
    return SignalShard.open(folder)


def make_stream(shards, expected=8.0, windows=3, key=KEY):
    return PatientStream(shards, expected, windows, CONTEXT, key, "replica")


def own_record(shard, signals, length):
    """Record of the train split in which a crop stands."""
    split = shard.split("train")
    center, scale = shard.scaling
    for record, samples in enumerate(split.samples):
        whole = np.clip((split.crop(record, 0, int(samples)) - center) / scale, -20, 20)
        windows = np.flatnonzero(np.abs(whole - signals[0].numpy()).max(1) < 1e-5)
        if any(np.allclose(whole[at : at + length], signals[:length], atol=1e-5) for at in windows):
            return record
    raise AssertionError("no record has these samples")


def test_n_and_q_are_those_of_all_train_patients(shards):
    stream = make_stream(shards)
    people = sum(len(np.unique(shard.split("train").patients)) for _, shard in shards)
    assert stream.patients == people == sum(shard.manifest.patients("train") for _, shard in shards)
    assert stream.sampling_rate == 8.0 / people
    assert stream.unique_tokens == sum(int(shard.split("train").samples.sum()) for _, shard in shards)


def test_members_are_the_draws_and_each_has_its_crops(shards):
    stream = make_stream(shards)
    draws = PoissonDraws(stream.patients, stream.sampling_rate, KEY)
    for step in range(10):
        batches = stream.draw(step)
        assert len(batches) == len(draws.members(step))
        assert all(batch.signals.shape == (3, CONTEXT, 12) for batch in batches)


def test_a_draw_follows_from_step_and_key_alone(shards):
    for one, other in zip(make_stream(shards).draw(5), make_stream(shards[::-1]).draw(5), strict=True):
        assert torch.equal(one.signals, other.signals)
        assert torch.equal(one.seeds, other.seeds)
    everybody = make_stream(shards, expected=make_stream(shards).patients)
    seeds = torch.cat([batch.seeds for step in range(5) for batch in everybody.draw(step)])
    assert len(seeds.unique()) == len(seeds)
    others = make_stream(shards, expected=everybody.patients, key=KEY[::-1]).draw(0)
    assert not torch.equal(others[0].signals, everybody.draw(0)[0].signals)


def test_crops_are_of_the_patients_own_records_in_proportion_to_slots(two_records):
    shard = two_records
    split = shard.split("train")
    people = np.unique(split.patients)
    stream = make_stream([("c", shard)], expected=len(people), windows=6)
    longer = []
    for step in range(3):
        batches = stream.draw(step)
        assert len(batches) == len(people)
        for person, batch in zip(people, batches, strict=True):
            for signals, labels, length in zip(batch.signals, batch.labels, batch.lengths, strict=True):
                record = own_record(shard, signals, int(length))
                assert split.patients[record] == person
                assert length == min(CONTEXT, split.samples[record])
                assert np.array_equal(labels.numpy(), split.labels[record])
                longer.append(split.samples[record] > CONTEXT)
    # Two slots of three: three standard deviations of the share.
    assert abs(np.mean(longer) - 2 / 3) < 3 * (2 / 9 / len(longer)) ** 0.5


def test_more_patients_than_there_are_is_refused(shards):
    with pytest.raises(ConfigError, match=r"privacy\.patients = 999, but the train split has"):
        make_stream(shards, expected=999)


def test_a_patient_in_two_shards_of_a_site_is_refused(shards):
    with pytest.raises(ShardError, match="count twice"):
        make_stream([shards[0], shards[0]])
