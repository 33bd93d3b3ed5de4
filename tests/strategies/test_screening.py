import logging

import numpy as np
import pytest
from flwr.app import Array, ConfigRecord, MetricRecord
from hypothesis import given
from hypothesis import strategies as st

from strategies.screening import (
    LARGEST_COUNT,
    Contract,
    Reason,
    ReplyError,
    screen_evaluate_reply,
    screen_train_reply,
)
from tests.strategies.replies import FINGERPRINT, reply_content
from wardlaw import protocol

CONTRACT = Contract(FINGERPRINT, 1, {"a": (2, 3), "b": (4,)})


def good_arrays():
    return {"a": np.ones((2, 3), np.float32), "b": np.zeros(4, np.float32)}


def screen(content):
    return screen_train_reply(content, "ash", CONTRACT)


def reason_of(content):
    with pytest.raises(ReplyError) as caught:
        screen(content)
    assert "ash" in str(caught.value)
    return caught.value.reason


def test_a_good_reply_passes_with_its_numbers():
    reply = screen(reply_content("ash", good_arrays(), examples=12))
    assert (reply.site, reply.examples, reply.loss, reply.tokens, reply.seconds) == ("ash", 12, 2.0, 100, 0.5)
    np.testing.assert_array_equal(reply.arrays["a"], good_arrays()["a"])


def changed(**arrays):
    return reply_content("ash", good_arrays() | arrays)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (changed(a=np.full((2, 3), np.nan, np.float32)), Reason.NON_FINITE),
        (changed(b=np.array([0, 0, 0, np.inf], np.float32)), Reason.NON_FINITE),
        (changed(a=np.ones(1, np.float32)), Reason.SHAPE),
        (changed(a=np.ones((3, 2), np.float32)), Reason.SHAPE),
        (changed(b=np.float32(1)), Reason.SHAPE),
        (changed(a=np.ones((2, 3), np.float64)), Reason.DTYPE),
        (changed(a=np.full((2, 3), 1e300)), Reason.DTYPE),
        (changed(b=np.zeros(4, np.int64)), Reason.DTYPE),
        (changed(extra=np.zeros(4, np.float32)), Reason.NAMES),
        (reply_content("ash", {"a": good_arrays()["a"]}), Reason.NAMES),
        (reply_content("ash", good_arrays(), server_round=0), Reason.OTHER_ROUND),
        (reply_content("ash", good_arrays(), fingerprint="e" * 64), Reason.OTHER_RUN),
        (reply_content("birch", good_arrays()), Reason.OTHER_SITE),
        (
            reply_content("ash", good_arrays(), metrics={protocol.TRAIN_LOSS: float("nan")}),
            Reason.METRIC,
        ),
        (reply_content("ash", good_arrays(), metrics={protocol.TRAIN_SECONDS: [1.0]}), Reason.METRIC),
    ],
)
def test_a_faulty_reply_is_rejected_by_its_fault(content, reason):
    assert reason_of(content) is reason


@pytest.mark.parametrize(
    "examples", [0, -1, 10**12, LARGEST_COUNT + 1, 2.5, float("nan"), float("inf"), [10], 10.0]
)
def test_the_count_of_examples_is_a_sane_whole_number(examples):
    assert reason_of(reply_content("ash", good_arrays(), examples=examples)) is Reason.COUNT


@pytest.mark.parametrize("record", [protocol.ARRAYS, protocol.METRICS, protocol.ORIGIN])
def test_a_missing_record_is_rejected(record):
    content = reply_content("ash", good_arrays())
    del content[record]
    assert reason_of(content) is Reason.MALFORMED


def test_a_missing_metric_is_rejected():
    content = reply_content("ash", good_arrays())
    del content[protocol.METRICS][protocol.NUM_EXAMPLES]
    assert reason_of(content) is Reason.METRIC


def test_metrics_not_asked_for_are_dropped_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        screen(reply_content("ash", good_arrays(), metrics={"hospital-mood": 3}))
    assert "hospital-mood" in caplog.text


def test_bytes_that_are_not_the_declared_array_are_rejected():
    content = reply_content("ash", good_arrays())
    array = content[protocol.ARRAYS]["b"]
    content[protocol.ARRAYS]["b"] = Array("float32", (4,), array.stype, array.data[:-4])
    assert reason_of(content) is Reason.MALFORMED
    content[protocol.ARRAYS]["b"] = Array("float32", (4,), array.stype, Array(np.zeros(4)).data)
    assert reason_of(content) is Reason.MALFORMED


@given(st.floats(width=32), st.integers(0, 3))
def test_whatever_passes_is_finite(value, place):
    arrays = good_arrays()
    arrays["b"][place] = value
    content = reply_content("ash", arrays)
    if np.isfinite(value):
        assert np.isfinite(screen(content).arrays["b"]).all()
    else:
        assert reason_of(content) is Reason.NON_FINITE


def evaluate_content(**metrics):
    content = reply_content("ash", {})
    sums = {protocol.NATS: 3.5, protocol.TOKENS: 10, protocol.EVENTS: 4, protocol.PATIENTS: 0}
    content[protocol.METRICS] = MetricRecord(sums | metrics)
    return content


def test_scores_are_sums_and_may_be_of_nobody():
    score = screen_evaluate_reply(evaluate_content(), "ash", CONTRACT)
    assert vars(score) == {"site": "ash", "nats": 3.5, "tokens": 10, "events": 4, "patients": 0}


@pytest.mark.parametrize(
    ("metrics", "reason"),
    [
        ({"nats": float("nan")}, Reason.METRIC),
        ({"nats": -1.0}, Reason.METRIC),
        ({"tokens": -1}, Reason.COUNT),
        ({"events": 1.5}, Reason.COUNT),
    ],
)
def test_faulty_scores_are_rejected(metrics, reason):
    with pytest.raises(ReplyError) as caught:
        screen_evaluate_reply(evaluate_content(**metrics), "ash", CONTRACT)
    assert caught.value.reason is reason


def test_an_origin_that_is_no_record_of_settings_is_malformed():
    content = reply_content("ash", good_arrays())
    content[protocol.ORIGIN] = ConfigRecord()
    assert reason_of(content) is Reason.OTHER_SITE
