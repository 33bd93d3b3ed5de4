"""Batches of crops: what is read, how often, in which scale, and from what alone it follows."""

from collections import Counter

import numpy as np
import pytest
import torch

from client.ecg.batches import SignalStream
from client.ecg.crops import RAIL, even_starts, slots_of
from tests.noise_ecg import noise_shard
from wardlaw.errors import ShardError

CONTEXT, ROWS = 512, 7


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("noise")
    return [(site, noise_shard(folder / site, site)) for site in "abc"]


def stream(shards, name="union", seed=3):
    return SignalStream(shards, ROWS * CONTEXT + 100, CONTEXT, seed, name)


@pytest.fixture(scope="module")
def whole(shards):
    """Site and all scaled samples of its train split in float64, (samples, 12)."""
    found = {}
    for site, shard in shards:
        split, manifest = shard.split("train"), shard.manifest
        gain, baseline = (
            np.repeat(v.astype(np.float64), split.samples, 0) for v in (split.gain, split.baseline)
        )
        millivolts = (split.digital - baseline) / gain
        found[site] = np.clip((millivolts - manifest.center) / manifest.scale, -RAIL, RAIL)
    return found


@pytest.fixture(scope="module")
def places(shards, whole):
    """Finds site, record and start of each crop of a batch by its samples alone."""
    opened = dict(shards)

    def find(batch):
        found = []
        for signals, length in zip(batch.signals.numpy(), batch.lengths.tolist(), strict=True):
            hits = [
                (site, int(at))
                for site, samples in whole.items()
                for at in np.flatnonzero(np.abs(samples - signals[0]).max(1) < 1e-4)
                if at + length <= len(samples)
                and np.allclose(samples[at : at + length], signals[:length], atol=1e-4)
            ]
            ((site, at),) = hits
            first = opened[site].split("train").first_sample
            record = int(np.searchsorted(first, at, side="right")) - 1
            found.append((site, record, at - int(first[record])))
        return found

    return find


def test_a_batch_is_a_function_of_the_step_alone(shards):
    one, other = stream(shards), stream(shards)
    for step in (40, 0, 7, 40):
        first, second = one.batch(step), other.batch(step)
        for field in ("signals", "labels", "lengths", "seeds"):
            assert torch.equal(getattr(first, field), getattr(second, field))
    assert one.batch(1).signals.shape == (ROWS, CONTEXT, 12)
    assert not torch.equal(one.batch(0).signals, one.batch(1).signals)


@pytest.mark.parametrize("changes", [{"seed": 4}, {"name": "a"}])
def test_seed_and_name_draw_other_crops(shards, changes):
    assert not torch.equal(stream(shards).batch(0).seeds, stream(shards, **changes).batch(0).seeds)


def test_the_order_of_shards_does_not_matter(shards):
    one, other = stream(shards).batch(11), stream(shards[::-1]).batch(11)
    assert torch.equal(one.signals, other.signals)
    assert torch.equal(one.labels, other.labels)


def test_each_epoch_reads_every_slot_once_and_long_records_in_proportion(shards, places):
    union = stream(shards)
    slots = Counter()
    for site, shard in shards:
        for record, samples in enumerate(shard.split("train").samples):
            slots[site, record] = -(-int(samples) // CONTEXT)
    epoch, batches, starts = slots.total(), [], {}
    # Batches run across the end of an epoch: two epochs are not a whole number of batches.
    assert epoch % ROWS
    while sum(map(len, batches)) < 2 * epoch:
        batches.append(places(union.batch(len(batches))))
    crops = [crop for batch in batches for crop in batch]
    for number in range(2):
        read = crops[number * epoch : (number + 1) * epoch]
        assert Counter((site, record) for site, record, _ in read) == slots
        starts[number] = sorted(read)
    assert starts[0] != starts[1]
    assert crops[:epoch] != sorted(crops[:epoch])


def test_crops_are_the_records_samples_in_their_own_sites_scale(shards, places):
    # ``places`` finds a crop by all of its samples, scaled in float64 by its own site's manifest.
    union, opened = stream(shards), dict(shards)
    seen = set()
    for step in range(4):
        batch = union.batch(step)
        for row, (site, record, start) in enumerate(places(batch)):
            split = opened[site].split("train")
            samples = int(split.samples[record])
            assert batch.lengths[row] == min(CONTEXT, samples)
            assert 0 <= start <= max(samples - CONTEXT, 0)
            np.testing.assert_array_equal(batch.labels[row].numpy(), split.labels[record])
            seen |= {site, "short" if samples < CONTEXT else "long"}
    assert seen == {"a", "b", "c", "short", "long"}


def test_short_records_go_on_with_zeros(shards):
    union = stream(shards)
    short = 0
    for step in range(20):
        batch = union.batch(step)
        for signals, length in zip(batch.signals, batch.lengths.tolist(), strict=True):
            assert not signals[length:].any()
            assert signals[length - 1].any()
            short += length < CONTEXT
    assert short
    assert batch.token_count == batch.lengths.sum()


def test_seeds_are_distinct_over_epochs(shards):
    union = stream(shards)
    seeds = torch.cat([union.batch(step).seeds for step in range(60)]).tolist()
    assert len(set(seeds)) == len(seeds)


def test_unique_tokens_are_the_samples_of_the_train_splits(shards):
    assert stream(shards).unique_tokens == sum(shard.manifest.tokens("train") for _, shard in shards)


def test_an_empty_train_split_is_one_clear_error(shards):
    with pytest.raises(ShardError, match="a: the train split has no record"):
        SignalStream([], CONTEXT, CONTEXT, 0, "a")


@pytest.mark.parametrize("samples", [1, 100, 511, 512, 513, 1000, 1024, 1025, 5000])
def test_scored_crops_cover_every_sample_from_end_to_end(samples):
    starts = even_starts(samples, CONTEXT)
    assert len(starts) == len(slots_of(np.array([samples]), CONTEXT)) == -(-samples // CONTEXT)
    read = np.concatenate([np.arange(start, min(start + CONTEXT, samples)) for start in starts])
    assert set(read.tolist()) == set(range(samples))
    assert starts[0] == 0
    assert starts[-1] == max(samples - CONTEXT, 0)
    assert np.ptp(np.diff(starts)) <= 1 if len(starts) > 2 else True
