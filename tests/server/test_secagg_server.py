"""The server's part alone: regular graphs, the mean, and replies that do not count."""

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from hypothesis import given
from hypothesis import strategies as st

from server.secagg.graph import draw_neighbours
from server.secagg.mean import mean_of
from server.secagg.screening import screen_ciphertexts, screen_keys, screen_masked, screen_shares
from strategies.screening import Contract, Reason, ReplyError
from wardlaw import protocol
from wardlaw.arrays import array_record
from wardlaw.errors import RoundError
from wardlaw.secagg import words
from wardlaw.secagg.counts import Counts
from wardlaw.secagg.quantisation import Quantisation

CONTRACT = Contract("run", 2, {"a": (2, 2), "b": (1,)})
WORK = {protocol.TRAIN_TOKENS: 10, protocol.TRAIN_FLOPS: 2.0, protocol.TRAIN_SECONDS: 0.1}


@given(st.integers(2, 30), st.integers(1, 12), st.text("ab"))
def test_graphs_are_regular_and_mutual(count, degree, session):
    sites = [f"site-{number}" for number in range(count)]
    neighbours = draw_neighbours(sites, degree, session)
    expected = min(degree, count - 1)
    expected -= expected * count % 2
    assert sorted(neighbours) == sorted(sites)
    for site, others in neighbours.items():
        assert len(set(others)) == len(others) == expected
        assert site not in others
        assert all(site in neighbours[other] for other in others)


def test_graphs_follow_from_the_session():
    sites = [f"site-{number}" for number in range(20)]
    assert draw_neighbours(sites, 4, "a") == draw_neighbours(reversed(sites), 4, "a")
    assert draw_neighbours(sites, 4, "a") != draw_neighbours(sites, 4, "b")


def levels_of(quantisation, update, counts):
    """Of an update that falls on levels."""
    rounded = quantisation.quantise(
        np.array(update) * counts.weight / quantisation.largest, np.full(len(update), 0.5)
    )
    return np.concatenate([rounded, counts.words()])


def test_the_mean_of_a_sum_of_levels():
    quantisation = Quantisation(1.0, 20)
    start = {"a": np.array([[1.0, 2.0]], np.float32), "b": np.array([-1.0], np.float32)}
    full = quantisation.largest
    total = levels_of(quantisation, [0.5, -0.5, 0.25], Counts(full, 100_000))
    total += levels_of(quantisation, [-0.1, 0.3, 0.0], Counts(full // 2, 40_000))
    mean = mean_of(total, 2, start, quantisation)
    # (0.5 - 0.05) / 1.5 and so on.
    assert mean.models["a"] == pytest.approx(np.array([[1.3, 2 - 0.35 / 1.5]]), abs=mean.error)
    assert mean.models["b"] == pytest.approx(np.array([-1 + 0.25 / 1.5]), abs=mean.error)
    assert mean.weight == pytest.approx(1.5, rel=1e-5)
    assert mean.error == pytest.approx(6 * quantisation.step / mean.weight)
    assert mean.size == 3
    assert mean.examples == 140_000


@pytest.mark.parametrize("level", [1, -5, 3 * Quantisation(1.0, 20).largest])
def test_sums_of_weights_that_cannot_be_fail_the_round(level):
    total = np.array([0, level, 0, 0], np.int32).view(np.uint32)
    with pytest.raises(RoundError, match="the sum of 2 weights cannot be"):
        mean_of(total, 2, {"a": np.zeros(1, np.float32)}, Quantisation(1.0, 20))


def test_sums_of_examples_that_cannot_be_fail_the_round():
    total = np.array([0, 2, -1, 0], np.int32).view(np.uint32)
    with pytest.raises(RoundError, match="cannot have -65536 examples"):
        mean_of(total, 2, {"a": np.zeros(1, np.float32)}, Quantisation(1.0, 20))


def reply(records, site="ash", **origin):
    known = {protocol.SITE: site, protocol.FINGERPRINT: "run", protocol.SERVER_ROUND: 2}
    return RecordDict({protocol.ORIGIN: ConfigRecord(known | origin), **records})


def masked_reply(array, metrics=WORK, name=words.MASKED):
    return reply({protocol.ARRAYS: array_record({name: array}), protocol.METRICS: MetricRecord(metrics)})


def test_right_replies_are_read():
    levels = np.arange(8, dtype=np.uint32)
    read = screen_masked(masked_reply(levels), "ash", CONTRACT)
    assert (read.site, read.tokens, read.flops, read.seconds) == ("ash", 10, 2.0, 0.1)
    assert np.array_equal(read.levels, levels)
    keys = screen_keys(reply({words.KEYS: ConfigRecord({"ash": [b"1", b"2"]})}), "ash", CONTRACT)
    assert (keys[1].cipher, keys[1].mask) == (b"1", b"2")
    assert screen_shares(reply({words.SHARES: ConfigRecord({"oak": b"3"})}), "ash", CONTRACT) == (
        "ash",
        {"oak": b"3"},
    )
    made = reply(
        {words.CIPHERTEXTS: ConfigRecord({"oak": b"4"}), words.COMMITMENT: ConfigRecord({"ash": b"5"})}
    )
    assert screen_ciphertexts(made, "ash", CONTRACT).ciphertexts == {"oak": b"4"}


RIGHT = np.arange(8, dtype=np.uint32)


@pytest.mark.parametrize(
    ("screen", "content", "reason"),
    [
        (screen_keys, reply({}), Reason.MALFORMED),
        (screen_keys, reply({words.KEYS: ConfigRecord({"oak": [b"1", b"2"]})}), Reason.MALFORMED),
        (screen_keys, reply({words.KEYS: ConfigRecord({"ash": [b"1"]})}), Reason.MALFORMED),
        (screen_keys, reply({}, site="oak"), Reason.OTHER_SITE),
        (screen_shares, reply({words.SHARES: ConfigRecord({"oak": "text"})}), Reason.MALFORMED),
        (screen_shares, reply({}, **{protocol.SERVER_ROUND: 1}), Reason.OTHER_ROUND),
        (
            screen_ciphertexts,
            reply({words.CIPHERTEXTS: ConfigRecord({}), words.COMMITMENT: ConfigRecord({"oak": b"5"})}),
            Reason.MALFORMED,
        ),
        (screen_masked, reply({}), Reason.NAMES),
        (screen_masked, masked_reply(RIGHT, name="a"), Reason.NAMES),
        (screen_masked, masked_reply(RIGHT[:7]), Reason.SHAPE),
        (screen_masked, masked_reply(RIGHT.astype(np.float32)), Reason.DTYPE),
        (screen_masked, masked_reply(RIGHT, WORK | {protocol.TRAIN_FLOPS: float("nan")}), Reason.METRIC),
        (screen_masked, masked_reply(RIGHT, {}), Reason.METRIC),
        (
            screen_masked,
            reply({protocol.ARRAYS: array_record({words.MASKED: RIGHT})}),
            Reason.MALFORMED,
        ),
    ],
)
def test_wrong_replies_do_not_count(screen, content, reason):
    with pytest.raises(ReplyError) as caught:
        screen(content, "ash", CONTRACT)
    assert caught.value.reason is reason


def test_arrays_that_lie_about_themselves_do_not_count():
    content = masked_reply(RIGHT)
    record = content[protocol.ARRAYS]
    record[words.MASKED].data = record[words.MASKED].data[:-4]
    assert isinstance(record, ArrayRecord)
    with pytest.raises(ReplyError, match="not what it claims"):
        screen_masked(content, "ash", CONTRACT)
