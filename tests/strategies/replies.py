"""Replies made by hand, for strategies that no server drives."""

from collections.abc import Iterable, Mapping

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

from strategies.exchange import Participant
from strategies.guarded import GuardedStrategy
from wardlaw import protocol

FINGERPRINT = "f" * 64


def reply_content(
    site: str,
    arrays: Mapping[str, np.ndarray],
    *,
    examples: object = 10,
    server_round: int = 1,
    fingerprint: str = FINGERPRINT,
    metrics: Mapping[str, object] | None = None,
) -> RecordDict:
    """A train reply's records."""
    numbers = {
        protocol.NUM_EXAMPLES: examples,
        protocol.TRAIN_LOSS: 2.0,
        protocol.TRAIN_TOKENS: 100,
        protocol.TRAIN_FLOPS: 1e6,
        protocol.TRAIN_SECONDS: 0.5,
    }
    origin = {
        protocol.SITE: site,
        protocol.FINGERPRINT: fingerprint,
        protocol.SERVER_ROUND: server_round,
    }
    return RecordDict(
        {
            protocol.ARRAYS: ArrayRecord({name: Array(np.asarray(array)) for name, array in arrays.items()}),
            protocol.METRICS: MetricRecord(numbers | dict(metrics or {})),
            protocol.ORIGIN: ConfigRecord(origin),
        }
    )


def ask(
    strategy: GuardedStrategy,
    model: Mapping[str, np.ndarray],
    sites: Iterable[str],
    *,
    server_round: int = 1,
) -> list[Message]:
    """The strategy's train messages, with the ids that a Grid would give them."""
    strategy.cohort = tuple(Participant(site, node) for node, site in enumerate(sites))
    record = ArrayRecord({name: Array(np.asarray(array)) for name, array in model.items()})
    messages = strategy.configure_train(server_round, record, ConfigRecord(), None)
    for message in messages:
        message.metadata.__dict__["_message_id"] = f"{server_round}-{message.metadata.dst_node_id}"
    return messages


def play_round(
    strategy: GuardedStrategy,
    model: Mapping[str, np.ndarray],
    replies: Mapping[str, tuple[Mapping[str, np.ndarray], int]],
    *,
    server_round: int = 1,
) -> dict[str, np.ndarray] | None:
    """One round in which each site answers with a model and its weight."""
    messages = ask(strategy, model, replies, server_round=server_round)
    answers = [
        Message(reply_content(site, arrays, examples=examples, server_round=server_round), reply_to=message)
        for message, (site, (arrays, examples)) in zip(messages, replies.items(), strict=True)
    ]
    record, _ = strategy.aggregate_train(server_round, answers)
    return None if record is None else {name: array.numpy() for name, array in record.items()}
