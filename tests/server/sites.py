"""Sites whose training is a known function, behind a Grid in this process."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from simulations.grid import InProcessGrid
from wardlaw import protocol, seeds
from wardlaw.arrays import array_record, record_views
from wardlaw.config import RunConfig
from wardlaw.config.flat import from_flat, to_flat

Tamper = Callable[[Message, RecordDict], Message | RecordDict]


@dataclass
class Sites:
    """A ClientApp whose node i is the site of the i-th name.

    A site's model after round r is the global one plus noise that depends on site,
    round and the site's own state, which is kept by round as a real site keeps it.
    """

    names: tuple[str, ...]
    config: RunConfig
    tamper: dict[str, Tamper] = field(default_factory=dict)
    tokenizer: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str, int]] = field(default_factory=list)
    orders: list[ConfigRecord] = field(default_factory=list)
    inner: dict[str, dict[int, float]] = field(default_factory=dict)
    shown: set[int] = field(default_factory=set)

    def grid(self) -> "SitesGrid":
        return SitesGrid(self)

    def app(self) -> ClientApp:
        app = ClientApp()
        for register, answer in (
            (app.query("describe"), self.describe),
            (app.train(), self.train),
            (app.evaluate(), self.evaluate),
        ):
            register(self._answering(answer))
        return app

    def _answering(self, answer: Callable[[str, RecordDict], RecordDict]) -> Callable:
        def handle(message: Message, context: Context) -> Message:
            site = self.names[int(context.node_config["partition-id"])]
            order = message.content[protocol.CONFIG]
            self.asked.append((message.metadata.message_type, site, order[protocol.SERVER_ROUND]))
            content = answer(site, message.content)
            origin = {
                protocol.SITE: site,
                protocol.FINGERPRINT: self.config.fingerprint,
                protocol.SERVER_ROUND: order[protocol.SERVER_ROUND],
            }
            content[protocol.ORIGIN] = ConfigRecord(origin | dict(content.get(protocol.ORIGIN, {})))
            tampered = self.tamper[site](message, content) if site in self.tamper else content
            return tampered if isinstance(tampered, Message) else Message(tampered, reply_to=message)

        return handle

    def describe(self, site: str, content: RecordDict) -> RecordDict:
        described = {
            protocol.TOKENIZER: self.tokenizer.get(site, "tokenizer-a"),
            protocol.VOCABULARY_SIZE: 16,
            protocol.SYNTHETIC: True,
        }
        return RecordDict({protocol.ORIGIN: ConfigRecord(described)})

    def train(self, site: str, content: RecordDict) -> RecordDict:
        order = content[protocol.CONFIG]
        self.orders.append(order)
        server_round = order[protocol.SERVER_ROUND]
        states = self.inner.setdefault(site, {})
        before = max((known for known in states if known < server_round), default=0)
        state = states.get(before, 0.0)
        generator = seeds.generator(7, site, server_round)
        model = {
            name: array
            + np.float32(0.01) * (generator.standard_normal(array.shape) + state).astype(np.float32)
            for name, array in record_views(content[protocol.ARRAYS]).items()
        }
        for known in [known for known in states if known >= server_round]:
            del states[known]
        states[server_round] = state + generator.standard_normal()
        for known in sorted(states)[:-1]:
            if known < order[protocol.OLDEST_ROUND] - 1:
                del states[known]
        metrics = {
            protocol.NUM_EXAMPLES: self.examples(site),
            protocol.TRAIN_LOSS: 2.0,
            protocol.TRAIN_TOKENS: 100,
            protocol.TRAIN_FLOPS: 1e6,
            protocol.TRAIN_SECONDS: 0.5,
        }
        return RecordDict({protocol.ARRAYS: array_record(model), protocol.METRICS: MetricRecord(metrics)})

    def evaluate(self, site: str, content: RecordDict) -> RecordDict:
        views = record_views(content[protocol.ARRAYS])
        nats = float(sum(np.abs(array).sum() for array in views.values()))
        metrics = {protocol.NATS: nats, protocol.TOKENS: 50, protocol.EVENTS: 20, protocol.PATIENTS: 5}
        return RecordDict({protocol.METRICS: MetricRecord(metrics)})

    def examples(self, site: str) -> int:
        return 100 * (1 + self.names.index(site))


class SitesGrid(InProcessGrid):
    """In-process Grid whose nodes can be away, silent, or come back under a new number."""

    def __init__(self, sites: Sites) -> None:
        super().__init__(sites.app(), len(sites.names), to_flat(sites.config))
        self.names = sites.names
        self.away: set[str] = set()
        self.silent: set[str] = set()
        self.most_waiting = 0
        self.sent = 0

    def get_node_ids(self) -> list[int]:
        return [node for node in super().get_node_ids() if self.names[node] not in self.away]

    def pull_messages(self, message_ids):
        for message_id in message_ids:
            message = self._waiting.get(message_id)
            if message is not None and self.names[message.metadata.dst_node_id] in self.silent:
                continue
            yield from super().pull_messages([message_id])


NAMES = ("ash", "birch", "cedar")


def run_config(**flat) -> RunConfig:
    settings = {
        "train.tokens": 3 * 8 * 4 * 4,
        "train.batch-tokens": 3 * 8,
        "model.context": 8,
        "federation.replicas": 3,
        "federation.local-steps": 4,
        "federation.wait-for-sites-s": 0.5,
        "federation.round-deadline-s": 5.0,
    }
    return from_flat(
        settings | {key.replace("__", ".").replace("_", "-"): value for key, value in flat.items()}
    )


def sites_of(*, names: tuple[str, ...] = NAMES, **flat) -> Sites:
    return Sites(names, run_config(**flat))


def with_arrays(
    content: RecordDict, change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]
) -> RecordDict:
    arrays = {name: np.array(view) for name, view in record_views(content[protocol.ARRAYS]).items()}
    content[protocol.ARRAYS] = ArrayRecord({name: Array(array) for name, array in change(arrays).items()})
    return content


def failing(message: Message, content: RecordDict) -> Message:
    return Message(Error(2, "patient 10004235 died"), reply_to=message)
