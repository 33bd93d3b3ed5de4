"""What a site's reply in each stage must be before it counts."""

from functools import partial

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from server.secagg.screening import (
    screen_agreement,
    screen_ciphertexts,
    screen_masked,
    screen_member,
    screen_shares,
)
from server.secagg.session import Announced
from strategies.screening import Contract, Reason, ReplyError
from wardlaw import protocol
from wardlaw.arrays import array_record
from wardlaw.privacy.keystream import new_key
from wardlaw.secagg import words
from wardlaw.secagg.keys import new_private_key, public_key
from wardlaw.secagg.roster import agreement, introduce, receipt, roster_digest, session_name
from wardlaw.secagg.signing import sign

CONTRACT = Contract("run", 2, {"a": (2, 2), "b": (1,)})
WORK = {protocol.TRAIN_TOKENS: 10, protocol.TRAIN_FLOPS: 2.0, protocol.TRAIN_SECONDS: 0.1}
RIGHT = np.arange(8, dtype=np.uint32)
SESSION = session_name("run", 2, "s")
SIGNING = {name: new_key() for name in ("ash", "oak")}
ROSTER = {
    name: introduce(key, SESSION, name, *(public_key(new_private_key()) for _ in range(2)))
    for name, key in SIGNING.items()
}
DIGEST = roster_digest(SESSION, ROSTER)
ANNOUNCED = Announced(SESSION, 2, ROSTER, DIGEST, {"ash": ("oak",), "oak": ("ash",)})
RECEIPT = sign(SIGNING["ash"], *receipt(DIGEST, "ash"))
AGREEMENT = sign(SIGNING["ash"], *agreement(DIGEST, ["oak", "ash"]))

MEMBER = partial(screen_member, session=SESSION)
LETTERS = partial(screen_ciphertexts, graph=ANNOUNCED.graph)
UPDATE = partial(screen_masked, announced=ANNOUNCED)
SUM = partial(screen_agreement, announced=ANNOUNCED, survivors=["ash", "oak"])


def reply(records, site="ash", **origin):
    known = {protocol.SITE: site, protocol.FINGERPRINT: "run", protocol.SERVER_ROUND: 2}
    return RecordDict({protocol.ORIGIN: ConfigRecord(known | origin), **records})


def told(record, value, of="ash"):
    return reply({record: ConfigRecord({of: value})})


def letters(receiver="oak", commitment_of="ash"):
    return reply(
        {
            words.CIPHERTEXTS: ConfigRecord({receiver: b"4"}),
            words.COMMITMENT: ConfigRecord({commitment_of: b"5"}),
        }
    )


def masked_reply(array, metrics=WORK, name=words.MASKED, signature=RECEIPT):
    return reply(
        {
            protocol.ARRAYS: array_record({name: array}),
            protocol.METRICS: MetricRecord(metrics),
            words.RECEIPTS: ConfigRecord({"ash": signature}),
        }
    )


def test_right_replies_are_read():
    read = UPDATE(masked_reply(RIGHT), "ash", CONTRACT)
    assert (read.site, read.tokens, read.flops, read.seconds) == ("ash", 10, 2.0, 0.1)
    assert np.array_equal(read.levels, RIGHT)
    assert read.receipt == RECEIPT
    assert MEMBER(told(words.ROSTER, ROSTER["ash"].parts()), "ash", CONTRACT) == ("ash", ROSTER["ash"])
    assert screen_shares(told(words.SHARES, b"3", of="oak"), "ash", CONTRACT) == ("ash", {"oak": b"3"})
    made = LETTERS(letters(), "ash", CONTRACT)
    assert (made.ciphertexts, made.commitment) == ({"oak": b"4"}, b"5")
    assert SUM(told(words.AGREEMENTS, AGREEMENT), "ash", CONTRACT) == ("ash", AGREEMENT)


def test_a_private_round_tells_no_time():
    untimed = {name: value for name, value in WORK.items() if name != protocol.TRAIN_SECONDS}
    assert np.isnan(UPDATE(masked_reply(RIGHT, untimed), "ash", CONTRACT).seconds)


@pytest.mark.parametrize(
    ("screen", "content", "reason"),
    [
        (MEMBER, reply({}), Reason.MALFORMED),
        (MEMBER, told(words.ROSTER, ROSTER["oak"].parts(), of="oak"), Reason.MALFORMED),
        (MEMBER, told(words.ROSTER, ROSTER["ash"].parts()[:3]), Reason.MALFORMED),
        # Another's keys, another's signature, no keys.
        (MEMBER, told(words.ROSTER, ROSTER["oak"].parts()), Reason.MALFORMED),
        (MEMBER, told(words.ROSTER, [*ROSTER["ash"].parts()[:3], bytes(64)]), Reason.MALFORMED),
        (
            MEMBER,
            told(words.ROSTER, introduce(SIGNING["ash"], SESSION, "ash", b"1", b"2").parts()),
            Reason.MALFORMED,
        ),
        (MEMBER, reply({}, site="oak"), Reason.OTHER_SITE),
        (screen_shares, told(words.SHARES, "text", of="oak"), Reason.MALFORMED),
        (screen_shares, reply({}, **{protocol.SERVER_ROUND: 1}), Reason.OTHER_ROUND),
        (LETTERS, letters(commitment_of="oak"), Reason.MALFORMED),
        (LETTERS, letters(receiver="elm"), Reason.MALFORMED),
        (UPDATE, reply({}), Reason.NAMES),
        (UPDATE, masked_reply(RIGHT, name="a"), Reason.NAMES),
        (UPDATE, masked_reply(RIGHT[:7]), Reason.SHAPE),
        (UPDATE, masked_reply(RIGHT.astype(np.float32)), Reason.DTYPE),
        (UPDATE, masked_reply(RIGHT, WORK | {protocol.TRAIN_FLOPS: float("nan")}), Reason.METRIC),
        (UPDATE, masked_reply(RIGHT, {}), Reason.METRIC),
        (UPDATE, reply({protocol.ARRAYS: array_record({words.MASKED: RIGHT})}), Reason.MALFORMED),
        (UPDATE, masked_reply(RIGHT, signature=AGREEMENT), Reason.MALFORMED),
        (SUM, told(words.AGREEMENTS, RECEIPT), Reason.MALFORMED),
        (SUM, told(words.AGREEMENTS, AGREEMENT, of="oak"), Reason.MALFORMED),
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
        UPDATE(content, "ash", CONTRACT)
