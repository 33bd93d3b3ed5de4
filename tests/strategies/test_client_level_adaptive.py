"""The clipping norm that follows a quantile, with its own noise and its own price."""

import math

import numpy as np
import pytest

from strategies.adaptive_clip import AdaptiveClip
from strategies.clipped_mean import ClippedMean
from strategies.guarded import Guard
from tests.strategies.replies import FINGERPRINT, play_round
from wardlaw.errors import CheckpointError
from wardlaw.privacy.accountant import epsilon
from wardlaw.privacy.client_level import ClientLevel
from wardlaw.privacy.events import Gaussian
from wardlaw.privacy.keystream import derive
from wardlaw.privacy.noise import add_normal
from wardlaw.privacy.releases import Releases

MODEL = {"a": np.zeros(16, np.float32)}
QUIET = 1e-9


def adaptive(folder, *, sites=4, noise=QUIET, count_noise=QUIET, norm=1.0, quantile=0.5, rate=0.2):
    privacy = ClientLevel(sites, noise, 1e-3, count_noise=count_noise)
    return AdaptiveClip(
        Guard(FINGERPRINT, "uniform"),
        privacy,
        Releases(folder, FINGERPRINT),
        clip_norm=norm,
        server_learning_rate=1.0,
        clip_quantile=quantile,
        clip_learning_rate=rate,
    )


def replies_of(norms):
    """Sites whose updates have these norms."""
    return {
        f"site-{index}": ({"a": np.full(16, norm / 4, np.float32)}, 10) for index, norm in enumerate(norms)
    }


@pytest.mark.parametrize(
    ("norms", "share"),
    [((0.5, 0.5, 2.0, 3.0), 0.5), ((0.5, 0.1, 0.2, 3.0), 0.75), ((2, 2, 2, 2), 0.0), ((0.5, 2.0), 0.5)],
)
def test_a_round_is_the_papers_geometric_update(tmp_path, norms, share):
    strategy = adaptive(tmp_path, quantile=0.3, rate=0.7)
    play_round(strategy, MODEL, replies_of(norms))
    assert strategy.clip_norm == pytest.approx(math.exp(-0.7 * (share - 0.3)), rel=1e-7)


def test_absent_sites_count_as_half(tmp_path):
    strategy = adaptive(tmp_path, quantile=0.5)
    play_round(strategy, MODEL, replies_of([0.1]))
    assert strategy.clip_norm == pytest.approx(math.exp(-0.2 * (0.625 - 0.5)), rel=1e-7)


def test_the_norm_settles_on_the_quantile(tmp_path):
    """Updates of norm 1 to 40: three quarters are within 30 to 31."""
    strategy = adaptive(tmp_path, sites=40, norm=0.1, quantile=0.75, rate=0.2)
    replies = replies_of(range(1, 41))
    for server_round in range(1, 61):
        play_round(strategy, MODEL, replies, server_round=server_round)
    assert 29 < strategy.clip_norm < 32


def test_it_clips_and_noises_with_the_norm_of_the_round(tmp_path):
    strategy = adaptive(tmp_path, rate=1.0)
    first = play_round(strategy, MODEL, replies_of([8.0] * 4))
    assert np.linalg.norm(first["a"]) == pytest.approx(1.0, rel=1e-5)
    second = play_round(strategy, MODEL, replies_of([8.0] * 4), server_round=2)
    assert np.linalg.norm(second["a"]) == pytest.approx(math.exp(0.5), rel=1e-5)


def test_the_counts_noise_has_the_claimed_standard_deviation(tmp_path):
    strategy = adaptive(tmp_path, sites=4, count_noise=2.0, rate=1.0)
    replies, moves = replies_of([0.0, 0.0, 0.0, 0.0]), []
    for server_round in range(1, 401):
        before = strategy.clip_norm
        strategy.adapt(released_count(strategy, replies, server_round))
        moves.append(-math.log(strategy.clip_norm / before))
    # b - 1/2 is 1/2, with noise of 2.0 / 4 sites.
    assert np.mean(moves) == pytest.approx(0.5, abs=4 * 0.5 / 20)
    assert np.std(moves) == pytest.approx(0.5, rel=4 / math.sqrt(800))


def released_count(strategy, replies, server_round):
    """A round's sum with the noise's key, without the list on disk."""

    class Released:
        centred_count = len(replies) / 2
        key = derive(bytes(32), "count", server_round)

    return Released()


def test_both_releases_are_accounted():
    privacy = ClientLevel(50, 3.0, 1e-5, count_noise=2.5)
    assert privacy.events(20) == (Gaussian(3.0, 20), Gaussian(5.0, 20))
    # Two Gaussians on one site's part are one Gaussian: z^-2 = 3^-2 + 5^-2 (arXiv 1905.03871, theorem 1).
    together = (3.0**-2 + 5.0**-2) ** -0.5
    assert privacy.epsilon(20) == pytest.approx(epsilon([Gaussian(together, 20)], 1e-5), rel=1e-3)
    assert privacy.epsilon(20) > ClientLevel(50, 3.0, 1e-5).epsilon(20) * 1.1


def test_a_count_without_noise_is_refused(tmp_path):
    with pytest.raises(ValueError, match="needs noise of its own"):
        adaptive(tmp_path, count_noise=0.0)


def test_saved_state_goes_on_to_the_bit(tmp_path):
    straight = adaptive(tmp_path, noise=1.0, count_noise=1.0)
    model = MODEL
    for server_round in (1, 2):
        model = play_round(straight, model, replies_of([0.5, 2.0, 3.0, 4.0]), server_round=server_round)
    state = {name: array.copy() for name, array in straight.state_arrays().items()}
    resumed = adaptive(tmp_path, noise=1.0, count_noise=1.0)
    resumed.load_state(state)
    assert resumed.clip_norm == straight.clip_norm != 1.0
    third = [
        play_round(strategy, model, replies_of([0.5, 2.0, 3.0, 4.0]), server_round=3)
        for strategy in (straight, resumed)
    ]
    assert third[0]["a"].tobytes() == third[1]["a"].tobytes()
    assert straight.clip_norm == resumed.clip_norm
    assert len(Releases(tmp_path, FINGERPRINT)) == 3


def test_the_state_of_a_fixed_norm_is_refused(tmp_path):
    fixed = ClippedMean(
        Guard(FINGERPRINT, "uniform"),
        ClientLevel(4, 1.0, 1e-3),
        Releases(tmp_path, FINGERPRINT),
        clip_norm=1.0,
        server_learning_rate=1.0,
    )
    with pytest.raises(CheckpointError, match="not that of AdaptiveClip"):
        adaptive(tmp_path).load_state(fixed.state_arrays())


def test_a_failed_round_leaves_the_norm(tmp_path):
    strategy = adaptive(tmp_path)
    bad = {"a": np.full(16, np.nan, np.float32)}
    assert play_round(strategy, MODEL, {"site-0": (bad, 10)}) is None
    assert strategy.clip_norm == 1.0
    assert len(strategy.releases) == 0


def test_deviates_are_normal_and_their_streams_apart():
    stats = pytest.importorskip("scipy.stats")
    one, other = np.zeros(100_001), np.zeros(100_001)
    add_normal(one, bytes(32), "a", std=1.0)
    add_normal(other, bytes(32), "b", std=1.0)
    assert stats.kstest(one, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(one, other)[0, 1]) < 5 / math.sqrt(100_001)
    again = np.ones((100_001, 1))
    add_normal(again, bytes(32), "a", std=2.0)
    np.testing.assert_allclose(again[:, 0], 1 + 2 * one, rtol=1e-15)
    with pytest.raises(ValueError, match="32 bytes, not 5"):
        add_normal(one, b"short", "a", std=1.0)
