import hashlib
import json

import numpy as np

from client.ehr.splits import mix64, split_of, splits_of


def reference_split(subject, seed):
    """SplitMix64's finaliser (Steele, Lea and Flood 2014) in Python's integers."""
    salt = int.from_bytes(hashlib.sha256(json.dumps([seed, "split"]).encode()).digest()[:8], "big") >> 1
    z = (subject + salt) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    share = (z ^ (z >> 31)) / 2**64
    return "train" if share < 0.8 else "tuning" if share < 0.9 else "held_out"


def test_mix_is_splitmix64():
    # First outputs of SplitMix64 seeded with 0, as its reference implementation prints them.
    golden = 0x9E3779B97F4A7C15
    first = mix64(np.zeros(1, dtype=np.int64), golden)[0], mix64(np.zeros(1, dtype=np.int64), 2 * golden)[0]
    assert [int(word) for word in first] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]


def test_splits_equal_a_reference_in_python_integers():
    ids = np.array([0, 1, 7, 10_000_032, 20_000_001_039, 2**62, -5], dtype=np.int64)
    for seed in (0, 1):
        assert splits_of(ids, seed).tolist() == [reference_split(int(subject), seed) for subject in ids]


def test_a_split_does_not_depend_on_the_other_patients():
    ids = np.arange(1000, dtype=np.int64)
    together = splits_of(ids)
    assert [split_of(int(subject)) for subject in ids[::97]] == together[::97].tolist()
    assert (splits_of(ids[::-1])[::-1] == together).all()


def test_shares_are_those_promised_within_five_standard_errors():
    splits = splits_of(np.arange(200_000, dtype=np.int64))
    for name, share in (("train", 0.8), ("tuning", 0.1), ("held_out", 0.1)):
        assert abs((splits == name).mean() - share) < 5 * np.sqrt(share * (1 - share) / 200_000)


def test_another_seed_divides_otherwise_and_independently():
    ids = np.arange(100_000, dtype=np.int64)
    both = (splits_of(ids, 0) == "train") & (splits_of(ids, 1) == "train")
    assert abs(both.mean() - 0.64) < 0.01


def test_other_shares_only_move_the_edges():
    ids = np.arange(200_000, dtype=np.int64)
    usual, fewer = splits_of(ids), splits_of(ids, train=0.9625, tuning=0.0125)
    assert (usual[fewer == "held_out"] == "held_out").all()
    assert (fewer[usual == "train"] == "train").all()
    assert abs((fewer == "held_out").mean() - 0.025) < 5 * np.sqrt(0.025 * 0.975 / 200_000)
