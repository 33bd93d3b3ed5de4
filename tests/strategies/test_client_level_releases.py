"""The same release has the same noise and counts once; any other has fresh noise and counts again."""

import numpy as np
import pytest

from tests.strategies.private_rounds import clipped_mean, loop_mean, site_models, start
from tests.strategies.replies import FINGERPRINT, play_round
from wardlaw.errors import CheckpointError
from wardlaw.privacy.releases import Releases


def test_a_replayed_round_has_the_same_bits_and_counts_once(tmp_path):
    model, replies = start(), site_models(start())
    first = play_round(clipped_mean(tmp_path, noise=1.0), model, replies)
    again = clipped_mean(tmp_path, noise=1.0)
    second = play_round(again, model, replies)
    assert all(first[name].tobytes() == second[name].tobytes() for name in model)
    assert len(again.releases) == 1


def test_other_replies_get_other_noise_and_count_again(tmp_path):
    model, replies = start(), site_models(start())
    strategy = clipped_mean(tmp_path, noise=1.0)
    noise = []
    for out in (None, "ash"):
        answers = {site: reply for site, reply in replies.items() if site != out}
        found = play_round(strategy, model, answers)
        mean = loop_mean(model, answers, sites=5, cap=1, norm=1.0)
        noise.append(found["weights"].reshape(-1) - model["weights"].reshape(-1) - mean["weights"])
    assert np.abs(noise[0] - noise[1]).min() > 1e-4
    assert len(strategy.releases) == 2
    assert len(Releases(tmp_path, FINGERPRINT)) == 2
    assert len(Releases(tmp_path, "e" * 64)) == 0


def test_two_servers_have_two_secrets(tmp_path):
    model, replies = start(), site_models(start())
    found = [play_round(clipped_mean(tmp_path / name, noise=1.0), model, replies) for name in "ab"]
    assert np.abs(found[0]["weights"] - found[1]["weights"]).min() > 1e-5
    assert (tmp_path / "a" / "privacy.key").stat().st_mode & 0o777 == 0o600


def test_the_state_refuses_a_list_that_was_cut(tmp_path):
    model, replies = start(), site_models(start())
    strategy = clipped_mean(tmp_path)
    play_round(strategy, model, replies)
    state = strategy.state_arrays()
    clipped_mean(tmp_path).load_state(state)
    (tmp_path / "releases.jsonl").unlink()
    with pytest.raises(CheckpointError, match="has 0 of this run, of 1"):
        clipped_mean(tmp_path).load_state(state)
    with pytest.raises(CheckpointError, match="not that of ClippedMean"):
        clipped_mean(tmp_path).load_state({"velocity/weights": np.zeros((4, 3))})


def test_a_list_without_its_key_or_with_a_bad_line_is_refused(tmp_path):
    play_round(clipped_mean(tmp_path), start(), site_models(start()))
    key = (tmp_path / "privacy.key").read_bytes()
    (tmp_path / "privacy.key").unlink()
    with pytest.raises(CheckpointError, match="key of the releases is missing"):
        Releases(tmp_path, FINGERPRINT)
    (tmp_path / "privacy.key").write_bytes(key[:5])
    with pytest.raises(CheckpointError, match="5 bytes, not 32"):
        Releases(tmp_path, FINGERPRINT)
    (tmp_path / "privacy.key").write_bytes(key)
    (tmp_path / "releases.jsonl").write_text("{}\n")
    with pytest.raises(CheckpointError, match="is damaged"):
        Releases(tmp_path, FINGERPRINT)


def test_the_list_does_not_give_the_noise_away(tmp_path):
    strategy = clipped_mean(tmp_path)
    play_round(strategy, start(), site_models(start()))
    listed = (tmp_path / "releases.jsonl").read_text()
    assert strategy._mean.key.hex() not in listed
    assert (tmp_path / "privacy.key").read_bytes().hex() not in listed
