"""Rounds over Flower's messages: the mean to its bound, what the server is told, and refusals."""

import json
import stat

import numpy as np
import pytest

from tests.simulations.secagg_grid import KINDS, LATE, SecureSites, examples, plain_mean, start, trained
from wardlaw import protocol
from wardlaw.arrays import array_record
from wardlaw.config.secagg import SecAggSection
from wardlaw.errors import ConfigError, PolicyError, RoundError, TrainingError
from wardlaw.secagg import words

NAMES = ("ash", "birch", "cedar", "elm", "fir", "oak")
CAP = 4_000
SETTINGS = SecAggSection(enabled=True, examples_cap=CAP, clip_range=0.1, norm_bound=1.0)


def sites_of(tmp_path, lost=None, **changes):
    settings = SecAggSection(**(SETTINGS.model_dump() | changes))
    return SecureSites(NAMES, tmp_path, settings, lost)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lost", [(), ("elm",), ("ash", "oak")])
def test_the_mean_is_the_plain_mean_to_its_bound(tmp_path, kind, lost):
    round_ = sites_of(tmp_path, {kind: lost}, bits=16).round()
    mean = round_.run(array_record(start()))
    alive = [name for name in NAMES if kind in LATE or name not in lost]
    expected = plain_mean(alive, CAP)
    errors = {name: np.abs(mean.models[name] - expected[name]).max() for name in expected}
    assert max(errors.values()) <= mean.error
    # The bound is not idle: rounding shows, and is within an order of what is typical.
    assert max(errors.values()) > mean.error / 50
    assert round_.report.survivors == alive
    assert round_.report.rejected == dict.fromkeys(lost, "missing")
    assert mean.weight == pytest.approx(sum(min(examples(name), CAP) / CAP for name in alive), rel=1e-4)


def test_large_sites_are_capped(tmp_path):
    assert min(map(examples, NAMES)) < CAP < max(map(examples, NAMES))
    mean = sites_of(tmp_path, examples_cap=1).round().run(array_record(start()))
    assert mean.weight == len(NAMES)
    expected = plain_mean(NAMES, 1)
    assert np.abs(mean.models["head"] - expected["head"]).max() <= mean.error


def test_a_round_asked_for_again_gives_the_same_bits(tmp_path):
    sites = sites_of(tmp_path)
    first = sites.round().run(array_record(start()))
    second = sites.round().run(array_record(start()))
    assert all(np.array_equal(first.models[name], second.models[name]) for name in first.models)


def test_a_round_is_unmasked_for_one_set_of_sites_only(tmp_path):
    sites = sites_of(tmp_path)
    sites.round().run(array_record(start()))
    sites.lost = {words.MASK: ["elm"]}
    again = sites.round()
    with pytest.raises(RoundError, match="0 of its neighbours helped to unmask"):
        again.run(array_record(start()))
    assert set(again.report.rejected.values()) == {"missing", "refused"}
    # Another round may lose it.
    assert sites.round(2).run(array_record(start())).sites == 5


@pytest.mark.parametrize("kind", KINDS)
def test_below_the_threshold_the_round_fails_with_one_error(tmp_path, kind):
    with pytest.raises(RoundError, match=r"fewer than (secagg\.threshold = 3|4)"):
        sites_of(tmp_path, {kind: NAMES[:3]}).round().run(array_record(start()))


def test_settings_that_could_wrap_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"secagg\.bits = 30: the sum of 6 sites could pass"):
        sites_of(tmp_path, bits=30).round().run(array_record(start()))


@pytest.mark.parametrize(
    ("scale", "error"), [(0.5, "secagg.norm-bound"), (np.nan, "not finite"), (0.035, "secagg.clip-range")]
)
def test_a_site_keeps_an_update_out_of_bounds_to_itself(tmp_path, scale, error):
    sites = sites_of(tmp_path)
    honest = sites.train

    def train(content, site):
        reply = honest(content, site)
        if site.name == "fir":
            reply[protocol.ARRAYS] = array_record(trained(site.name, scale))
        return reply

    sites.train = train
    round_ = sites.round()
    mean = round_.run(array_record(start()))
    assert round_.report.rejected == {"fir": "failed"}
    assert isinstance(sites.errors[0], TrainingError)
    assert error in str(sites.errors[0])
    expected = plain_mean([name for name in NAMES if name != "fir"], CAP)
    assert np.abs(mean.models["embed"] - expected["embed"]).max() <= mean.error


def test_keys_are_for_their_owner_and_deleted_after_unmasking(tmp_path, monkeypatch):
    sites = sites_of(tmp_path, {words.UNMASK: ["oak"]})
    sites.round().run(array_record(start()))
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("session-*.json"))
    run = sites.config.fingerprint[:16]
    assert left == [f"oak/runs/{run}/oak/secagg/session-00001.json"]
    assert stat.S_IMODE((tmp_path / left[0]).stat().st_mode) == 0o600
    summed = tmp_path / f"ash/runs/{run}/ash/secagg/summed-00001.json"
    assert json.loads(summed.read_text()) == list(NAMES)
    assert stat.S_IMODE((tmp_path / "ash" / "secagg.key").stat().st_mode) == 0o600


def test_a_second_masking_in_a_session_is_refused(tmp_path):
    sites = sites_of(tmp_path)
    round_ = sites.round()
    shared = round_._share(round_._announce())
    round_._sum(shared, array_record(start()))
    round_._sum(shared, array_record(start()))
    assert round_.report.rejected == dict.fromkeys(NAMES, "refused")
    assert all(isinstance(error, PolicyError) for error in sites.errors)


def test_noise_is_shared_out_and_measured(tmp_path):
    changes = {"examples_cap": 1, "noise_multiplier": 2.0, "norm_bound": 0.5, "dropouts": 1, "bits": 20}
    sites = sites_of(tmp_path, {words.MASK: ["cedar"]}, **changes)
    mean = sites.round().run(array_record(start()))
    alive = [name for name in NAMES if name != "cedar"]
    expected = plain_mean(alive, 1)
    noise = np.concatenate([(mean.models[name] - expected[name]).ravel() * len(alive) for name in expected])
    # Five shares of std 2 * 0.5 / sqrt(6 - 1).
    assert noise.std() == pytest.approx(1.0, abs=6 / np.sqrt(2 * noise.size))
    assert abs(noise.mean()) < 6 / np.sqrt(noise.size)

    sites.lost = {words.MASK: ["cedar", "elm"]}
    with pytest.raises(RoundError, match=r"2 sites are lost, more than secagg\.dropouts = 1"):
        sites.round(2).run(array_record(start()))
