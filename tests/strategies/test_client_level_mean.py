"""Clipped and noised averages against a loop over numbers, and the sensitivity that they claim."""

import math

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Message
from pydantic import ValidationError

from strategies.adaptive_clip import AdaptiveClip
from strategies.clipped_mean import ClippedMean
from strategies.clipped_sum import ClippedSum
from strategies.fedavg import FedAvg
from strategies.guarded import Guard
from strategies.registry import build_strategy
from tests.strategies.private_rounds import SHARDS, SITES, clipped_mean, loop_mean, site_models, start
from tests.strategies.replies import FINGERPRINT, ask, play_round, reply_content
from wardlaw.config.strategy import StrategySection
from wardlaw.errors import ConfigError, RoundError
from wardlaw.privacy.client_level import ClientLevel
from wardlaw.privacy.events import Gaussian


@pytest.mark.parametrize("cap", [1, 2_500], ids=["uniform", "capped"])
@pytest.mark.parametrize("eta", [1.0, 0.5])
def test_without_noise_it_is_the_loop(tmp_path, cap, eta):
    model, replies = start(), site_models(start())
    found = play_round(clipped_mean(tmp_path, cap=cap, eta=eta), model, replies)
    mean = loop_mean(model, replies, sites=5, cap=cap, norm=1.0)
    for name, array in model.items():
        expected = array.astype(np.float64).reshape(-1) + eta * mean[name]
        np.testing.assert_allclose(found[name].reshape(-1), expected, rtol=2e-7, atol=5e-9)


def test_absent_sites_leave_the_denominator_as_it_is(tmp_path):
    model = start()
    replies = dict(list(site_models(model).items())[2:4])
    found = play_round(clipped_mean(tmp_path), model, replies)
    mean = loop_mean(model, replies, sites=5, cap=1, norm=1.0)
    assert math.sqrt(sum(float(np.sum(numbers**2)) for numbers in mean.values())) > 0.1
    for name, array in model.items():
        np.testing.assert_allclose(found[name].reshape(-1), array.reshape(-1) + mean[name], rtol=2e-7)


def mean_update(privacy, updates, examples, *, norm=2.0):
    """Mean of updates, (sites, numbers), without its noise."""
    model = {"a": np.zeros(updates.shape[1], np.float32)}
    total = ClippedSum(model, norm, privacy, lambda digest: bytes(32))
    for update, count in zip(updates, examples, strict=True):
        total.add({"a": update.astype(np.float32)}, count)
    return total.mean()["a"].copy()


@pytest.mark.parametrize("cap", [1, 2_500, 50_000], ids=["uniform", "capped", "uncapped"])
def test_a_site_moves_the_mean_by_the_claimed_sensitivity_and_no_more(cap):
    privacy = ClientLevel(5, 1e-12, 1e-3, weight_cap=cap)
    generator = np.random.default_rng(4)
    updates = 100 * generator.standard_normal((5, 8))
    everyone = mean_update(privacy, updates, SHARDS)
    moved = [
        np.linalg.norm(everyone - mean_update(privacy, np.delete(updates, out, 0), np.delete(SHARDS, out)))
        for out in range(5)
    ]
    assert max(moved) == pytest.approx(privacy.sensitivity(2.0), rel=1e-6)
    assert privacy.sensitivity(2.0) == 2.0 / 5


def test_a_weighted_mean_noised_as_a_uniform_one_is_short_of_noise_and_refused():
    """The largest of these shards weighs 0.885 of a plain weighted mean, where 0.2 is noised for."""
    norm, model = 2.0, {"a": np.zeros(8, np.float32)}
    longest = np.full(8, norm / math.sqrt(8), np.float32)
    replies = {site: ({"a": longest}, examples) for site, examples in zip(SITES, SHARDS, strict=True)}
    plain = play_round(FedAvg(Guard(FINGERPRINT, "tokens")), model, replies)
    without = play_round(FedAvg(Guard(FINGERPRINT, "tokens")), model, replies | {"ash": (model, SHARDS[0])})
    moved = np.linalg.norm(plain["a"] - without["a"])
    assert moved / norm == pytest.approx(50_000 / 56_500, rel=1e-5)
    short = moved / ClientLevel(5, 1.0, 1e-3).sensitivity(norm)
    assert short == pytest.approx(4.42, abs=0.01)
    for name in ("clipped-mean", "adaptive-clip"):
        with pytest.raises(ValidationError, match="cannot weigh sites by their tokens"):
            StrategySection(name=name)
        assert StrategySection(name=name, weighting="tokens", weight_cap=2_500).weight_cap == 2_500
        assert StrategySection(name=name, weighting="uniform").weight_cap == 0
    with pytest.raises(ValidationError, match="weight-cap has no meaning"):
        StrategySection(name="clipped-mean", weighting="uniform", weight_cap=10)
    with pytest.raises(ValidationError, match="clip-norm has no meaning"):
        StrategySection(name="fedavg", clip_norm=2.0)


def test_the_noise_has_the_claimed_standard_deviation(tmp_path):
    model = {"a": np.zeros(40_000, np.float32), "b": np.zeros((200, 200), np.float32)}
    strategy = clipped_mean(tmp_path, noise=2.0, norm=3.0)
    still = dict.fromkeys(SITES, (model, 10))
    found = play_round(strategy, model, still)
    std = strategy.privacy.noise_std(3.0)
    assert std == pytest.approx(2.0 * 3.0 / 5)
    for array in found.values():
        # Five standard errors of a standard deviation and of a mean of 40 000 numbers.
        assert array.std() == pytest.approx(std, rel=5 / math.sqrt(2 * 40_000))
        assert abs(array.mean()) < 5 * std / 200
    together = np.corrcoef(found["a"], found["b"].reshape(-1))[0, 1]
    assert abs(together) < 5 / 200
    norm = math.sqrt(sum(float(np.sum(array.astype(np.float64) ** 2)) for array in found.values()))
    assert norm / 3.0 == pytest.approx(strategy.privacy.noise_over_update(80_000), rel=0.02)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_updates_that_are_not_finite_do_not_count(tmp_path, value):
    model, replies = start(), site_models(start())
    bad = {name: np.full_like(array, value) for name, array in model.items()}
    strategy = clipped_mean(tmp_path)
    found = play_round(strategy, model, replies | {"elm": (bad, 10)})
    expected = play_round(clipped_mean(tmp_path / "b"), model, replies)
    # Elm's own update is zeros.
    for name in model:
        np.testing.assert_allclose(found[name], expected[name], rtol=2e-7, atol=1e-8)
    assert strategy.report.rejected == {"elm": "non-finite"}


def test_the_largest_finite_update_is_clipped(tmp_path):
    model = start()
    huge = {name: np.full_like(array, np.finfo(np.float32).max) for name, array in model.items()}
    found = play_round(clipped_mean(tmp_path), model, {"ash": (huge, 10)})
    moved = np.concatenate([(found[name] - model[name]).reshape(-1) for name in model])
    assert np.linalg.norm(moved) == pytest.approx(1 / 5, rel=1e-5)


def test_integer_arrays_are_refused_and_end_nothing(tmp_path):
    model = start() | {"batches": np.zeros(1, np.int64)}
    strategy = clipped_mean(tmp_path)
    assert play_round(strategy, model, {"ash": (model, 10)}) is None
    assert strategy.report.rejected == {"ash": "dtype"}
    assert len(strategy.releases) == 0


def test_a_round_without_quorum_releases_nothing(tmp_path):
    strategy = clipped_mean(tmp_path, quorum=2)
    model = start()
    assert play_round(strategy, model, {"ash": site_models(model)["ash"]}) is None
    messages = ask(strategy, model, ())
    assert messages == []
    assert strategy.aggregate_train(1, []) == (None, None)
    assert len(strategy.releases) == 0
    assert not (tmp_path / "releases.jsonl").exists()


def test_it_stops_before_the_limit(tmp_path):
    model = start()
    strategy = clipped_mean(tmp_path, noise=2.15, limit=2.0)
    affordable = max(count for count in range(20) if strategy.privacy.epsilon(count) <= 2.0)
    assert affordable > 1
    for server_round in range(1, affordable + 1):
        play_round(strategy, model, {"ash": (model, 10)}, server_round=server_round)
    assert 1.0 < strategy.figures()["client_epsilon"] <= 2.0
    with pytest.raises(RoundError, match=r"above strategy\.epsilon-limit = 2"):
        play_round(strategy, model, {"ash": (model, 10)}, server_round=affordable + 1)


def test_a_run_that_the_limit_would_end_is_refused_before_it_starts(tmp_path):
    strategy = clipped_mean(tmp_path, noise=2.15, limit=2.0)
    affordable = max(count for count in range(20) if strategy.privacy.epsilon(count) <= 2.0)
    strategy.require_rounds(affordable)
    with pytest.raises(ConfigError, match=rf"{affordable + 1} models would cost .* Plan more noise"):
        strategy.require_rounds(affordable + 1)
    play_round(strategy, start(), {"ash": (start(), 10)})
    with pytest.raises(ConfigError, match="Plan more noise"):
        strategy.require_rounds(affordable)


@pytest.mark.parametrize(
    ("sites", "rounds", "noise", "epsilon", "std"),
    [(5, 20, 2.15, 8, 0.43), (20, 20, 2.15, 8, 0.107), (100, 20, 2.15, 8, 0.021), (5, 100, 14.45, 2, 2.89)],
)
def test_what_few_sites_cost(sites, rounds, noise, epsilon, std):
    privacy = ClientLevel(sites, noise, 1e-3)
    assert privacy.epsilon(rounds) == pytest.approx(epsilon, abs=0.02)
    assert privacy.noise_std(1.0) == pytest.approx(std, abs=0.0006)
    assert privacy.noise_over_update(1_000_000) == pytest.approx(1000 * std, rel=0.03)


def test_no_release_costs_nothing():
    assert ClientLevel(5, 1.0, 1e-3, epsilon_limit=0.1).epsilon(0) == 0
    assert ClientLevel(5, 1.0, 1e-3).events(3) == (Gaussian(1.0, 3),)


def test_the_summary_says_what_is_not_protected(tmp_path, caplog):
    with caplog.at_level("INFO"):
        clipped_mean(tmp_path, noise=2.15).summary()
    assert "no patient of it" in caplog.text
    assert "with 5 sites the noise on each number of the mean update is 0.43 C" in caplog.text


def test_sections_build_them(tmp_path):
    options = {"fingerprint": FINGERPRINT, "quorum": 1, "reply_within_s": 60.0}
    section = StrategySection(
        name="clipped-mean", weight_cap=100, clip_norm=0.5, noise_multiplier=3.0, epsilon_limit=9.0
    )
    strategy = build_strategy(section, **options, sites=7, private_folder=tmp_path)
    assert type(strategy) is ClippedMean
    assert strategy.privacy == ClientLevel(7, 3.0, 1e-5, weight_cap=100, epsilon_limit=9.0)
    assert strategy.clip_norm == 0.5
    section = StrategySection(name="adaptive-clip", weighting="uniform", count_noise=2.0, clip_quantile=0.7)
    strategy = build_strategy(section, **options, sites=7, private_folder=tmp_path)
    assert type(strategy) is AdaptiveClip
    assert strategy.privacy == ClientLevel(7, 1.0, 1e-5, count_noise=2.0)
    assert strategy.clip_quantile == 0.7
    with pytest.raises(ValueError, match="needs the number of expected sites"):
        build_strategy(section, **options)


def test_the_order_of_replies_matters_to_no_digit_that_travels(tmp_path):
    model, replies = start(), site_models(start())
    forward = play_round(clipped_mean(tmp_path / "a"), model, replies)
    backward = play_round(clipped_mean(tmp_path / "b"), model, dict(reversed(replies.items())))
    for name in model:
        np.testing.assert_allclose(forward[name], backward[name], rtol=2e-7, atol=1e-8)


def test_a_bad_reply_of_another_shape_does_not_count(tmp_path):
    model, replies = start(), site_models(start())
    strategy = clipped_mean(tmp_path)
    messages = ask(strategy, model, ("ash", "birch"))
    contents = [
        reply_content("ash", replies["ash"][0]),
        reply_content("birch", {"weights": np.zeros(3, np.float32), "count": model["count"]}),
    ]
    answers = [
        Message(content, reply_to=message) for content, message in zip(contents, messages, strict=True)
    ]
    record, _ = strategy.aggregate_train(1, answers)
    assert isinstance(record, ArrayRecord)
    assert isinstance(record["weights"], Array)
    assert strategy.report.rejected == {"birch": "shape"}
