"""Sites of secure aggregation behind a Grid, whose training is a known function."""

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
from flwr.app import ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from client.sanitize import error_reply
from client.secagg.handlers import agree_on_sum, help_unmask, mask_update, set_up_session, share_keys
from client.site import Site
from server.secagg.messages import Post
from server.secagg.round import SecureRound, new_session
from simulations.grid import WireGrid
from strategies.exchange import Participant
from strategies.screening import Contract
from tests.server.sites import run_config
from wardlaw import protocol, seeds
from wardlaw.arrays import array_record
from wardlaw.config import SitePolicy, to_flat
from wardlaw.config.secagg import SecAggSection
from wardlaw.secagg import words

SHAPES = {"embed": (30, 8), "norm": (8,), "head": (8, 30)}
CONFIG = run_config(**{"federation.replicas": 6, "train.batch-tokens": 48, "train.tokens": 768})


def start() -> dict[str, np.ndarray]:
    """The model that every round here starts from."""
    generator = seeds.generator(1, "secagg model")
    return {name: generator.standard_normal(shape, np.float32) for name, shape in SHAPES.items()}


def trained(site: str, scale: float = 0.01) -> dict[str, np.ndarray]:
    """A site's model."""
    generator = seeds.generator(2, site)
    return {
        name: array + np.float32(scale) * generator.standard_normal(array.shape, np.float32)
        for name, array in start().items()
    }


def examples(site: str) -> int:
    """A site's weight before it is capped."""
    return 10 * sum(site.encode())


def train(content: RecordDict, site: Site) -> RecordDict:
    """Answer of a site to ``train``."""
    metrics = {
        protocol.NUM_EXAMPLES: examples(site.name),
        protocol.TRAIN_LOSS: 2.0,
        protocol.TRAIN_TOKENS: 100,
        protocol.TRAIN_FLOPS: 1e6,
        protocol.TRAIN_SECONDS: 0.5,
    }
    return RecordDict(
        {protocol.ARRAYS: array_record(trained(site.name)), protocol.METRICS: MetricRecord(metrics)}
    )


class SecureSites(WireGrid):
    """Sites by name, some of which do not answer some kinds of message."""

    def __init__(
        self,
        names: tuple[str, ...],
        folder: Path,
        settings: SecAggSection,
        lost: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        self.names, self.folder, self.lost = names, folder, dict(lost or {})
        self.config = CONFIG.model_copy(update={"secagg": settings})
        self.train = train
        self.peers: dict[str, str] = {}
        self.errors: list[Exception] = []
        super().__init__(self._app_of_sites(), len(names), to_flat(self.config))

    def policy(self, name: str) -> SitePolicy:
        return SitePolicy(site=name, tokens=self.folder, state=self.folder / name, secagg_peers=self.peers)

    def pull_messages(self, message_ids):
        for message_id in message_ids:
            message = self._waiting.get(message_id)
            if message is None:
                continue
            silent = self.lost.get(message.metadata.message_type, ())
            if self.names[message.metadata.dst_node_id] in silent:
                del self._waiting[message_id]
                continue
            yield from super().pull_messages([message_id])

    def round(self, server_round: int = 1, server: type[SecureRound] = SecureRound) -> SecureRound:
        contract = Contract(self.config.fingerprint, server_round, SHAPES)
        post = Post(self, contract, new_session(), {}, deadline_s=0.01)
        cohort = [Participant(name, node) for node, name in enumerate(self.names)]
        return server(post, cohort, self.config.secagg, self.config.federation)

    def _app_of_sites(self) -> ClientApp:
        app = ClientApp()
        app.query("secagg_setup")(self._answering(set_up_session))
        app.query("secagg_share")(self._answering(share_keys))
        app.train("secagg")(
            self._answering(lambda content, site: mask_update(content, site, lambda *both: self.train(*both)))
        )
        app.query("secagg_agree")(self._answering(agree_on_sum))
        app.query("secagg_unmask")(self._answering(help_unmask))
        return app

    def _answering(self, handle):
        def answer(message: Message, context: Context) -> Message:
            site = Site(self.policy(self.names[int(context.node_config["partition-id"])]), self.config)
            try:
                records = handle(message.content, site)
            except Exception as error:
                self.errors.append(error)
                return error_reply(error, message, context)
            order = message.content[protocol.CONFIG]
            records[protocol.ORIGIN] = ConfigRecord(
                {
                    protocol.SITE: site.name,
                    protocol.FINGERPRINT: self.config.fingerprint,
                    protocol.SERVER_ROUND: order[protocol.SERVER_ROUND],
                }
            )
            return Message(records, reply_to=message)

        return answer


def plain_mean(names, cap: int) -> dict[str, np.ndarray]:
    """Weighted mean of the sites' models, in float64."""
    weights = {name: min(examples(name), cap) / cap for name in names}
    return {
        key: sum(weights[name] * trained(name)[key].astype(np.float64) for name in names)
        / sum(weights.values())
        for key in SHAPES
    }


KINDS = (words.SETUP, words.SHARE, words.MASK, words.AGREE, words.UNMASK)
LATE = (words.AGREE, words.UNMASK)
"""Stages after which a site's update is in the sum, though the site is lost."""
