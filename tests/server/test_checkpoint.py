import os

import numpy as np
import pytest

from server.checkpoint import (
    KEPT,
    Progress,
    Snapshot,
    newest_snapshot,
    oldest_resumable_round,
    save_snapshot,
)
from wardlaw.arrays import array_record, record_views

FINGERPRINT = "f" * 64


def snapshot_of(server_round):
    generator = np.random.default_rng(server_round)
    arrays = {
        "z": generator.standard_normal((2, 3)).astype(np.float32),
        "a": np.array(1.5, np.float32),
    }
    state = {"velocity/z": generator.standard_normal((2, 3)), "velocity/a": np.array(0.1)}
    progress = Progress(
        server_round, ("ash", "birch"), 10, 1e9, {"ash": 5}, ({"round": 1, "train_loss": None},)
    )
    return Snapshot(progress, array_record(arrays), state)


def test_what_is_saved_is_what_is_loaded(tmp_path):
    saved = snapshot_of(3)
    save_snapshot(tmp_path, FINGERPRINT, saved)
    loaded = newest_snapshot(tmp_path, FINGERPRINT)
    assert loaded.progress == saved.progress
    assert list(loaded.arrays) == ["z", "a"]
    for name, array in record_views(saved.arrays).items():
        np.testing.assert_array_equal(loaded.arrays[name].numpy(), array, strict=True)
    for name, array in saved.state.items():
        np.testing.assert_array_equal(loaded.state[name], array, strict=True)


def test_no_checkpoint_is_no_snapshot(tmp_path):
    assert newest_snapshot(tmp_path / "checkpoints", FINGERPRINT) is None


def test_the_two_newest_are_kept(tmp_path):
    for server_round in range(1, 6):
        save_snapshot(tmp_path, FINGERPRINT, snapshot_of(server_round))
        kept = sorted(path.name for path in tmp_path.iterdir())
        rounds = range(max(1, server_round - KEPT + 1), server_round + 1)
        assert kept == sorted(f"round-{r:06d}.{end}" for r in rounds for end in ("json", "safetensors"))
        assert min(rounds) + 1 == oldest_resumable_round(server_round + 1) or server_round == 1


@pytest.mark.parametrize("writes_before_the_crash", range(4))
def test_a_crash_while_writing_leaves_the_former_checkpoint(tmp_path, monkeypatch, writes_before_the_crash):
    save_snapshot(tmp_path, FINGERPRINT, snapshot_of(1))
    fsync, calls = os.fsync, iter(range(100))

    def crash(handle):
        if next(calls) == writes_before_the_crash:
            raise OSError("no space left on device")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(OSError, match="no space"):
        save_snapshot(tmp_path, FINGERPRINT, snapshot_of(2))
    monkeypatch.undo()
    found = newest_snapshot(tmp_path, FINGERPRINT).progress.server_round
    # The manifest is in place before the last fsync, of its folder.
    assert found == (2 if writes_before_the_crash == 3 else 1)
    save_snapshot(tmp_path, FINGERPRINT, snapshot_of(2))
    assert newest_snapshot(tmp_path, FINGERPRINT).progress.server_round == 2
