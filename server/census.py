"""Who is behind each node: sites describe themselves before they take part."""

import logging
from dataclasses import dataclass

from flwr.app import ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid

from strategies.exchange import failure_code
from wardlaw import protocol
from wardlaw.config import RunConfig
from wardlaw.errors import AdmissionError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Description:
    """What a site says of itself.

    Attributes
    ----------
    site : str
    tokenizer : str
        Fingerprint of its shard's tokeniser; empty where the shard is yet to be made.
    vocabulary_size : int
    synthetic : bool
        Whether its patients are generated.
    """

    site: str
    tokenizer: str
    vocabulary_size: int
    synthetic: bool


class Census:
    """Descriptions of the nodes of a Grid, asked for as nodes appear.

    Parameters
    ----------
    grid : Grid
    config : RunConfig
        Sites of another configuration are refused.
    tokenizer : str
        Tokeniser whose shard the sites describe; empty for the only one they have.

    Attributes
    ----------
    described : dict of int to Description
        By node.
    """

    def __init__(self, grid: Grid, config: RunConfig, tokenizer: str = "") -> None:
        self.described: dict[int, Description] = {}
        self._grid, self._config, self._tokenizer = grid, config, tokenizer
        self._asked: set[int] = set()
        self._waiting: dict[str, int] = {}

    @property
    def complete(self) -> bool:
        """Whether every node that was asked has answered."""
        return not self._waiting

    def poll(self) -> set[int]:
        """Ask nodes that are new, take in answers that are there, and tell who is connected."""
        connected = set(self._grid.get_node_ids())
        self._ask(sorted(connected - self._asked))
        for message_id, node in list(self._waiting.items()):
            if node not in connected:
                # A node that comes back under its number is asked again.
                del self._waiting[message_id]
                self._asked.discard(node)
                continue
            for reply in self._grid.pull_messages([message_id]):
                del self._waiting[message_id]
                self._take_in(reply, node)
        return connected

    def _ask(self, nodes: list[int]) -> None:
        settings = ConfigRecord({protocol.SERVER_ROUND: 0, protocol.FINGERPRINT: self._config.fingerprint})
        if self._tokenizer:
            settings[protocol.TOKENIZER] = self._tokenizer
        content = RecordDict({protocol.CONFIG: settings})
        ttl = self._config.federation.wait_for_sites_s
        messages = [Message(content, node, protocol.DESCRIBE, ttl=ttl) for node in nodes]
        self._asked.update(nodes)
        if messages:
            pushed = zip(self._grid.push_messages(messages), nodes, strict=False)
            self._waiting |= {message_id: node for message_id, node in pushed if message_id}

    def _take_in(self, reply: Message, node: int) -> None:
        try:
            self.described[node] = _read(reply, self._config)
        except AdmissionError as error:
            logger.warning("node %d is not admitted: %s", node, error)


def _read(reply: Message, config: RunConfig) -> Description:
    if reply.has_error():
        raise AdmissionError(f"it could not describe itself: {failure_code(reply)}")
    origin = reply.content.get(protocol.ORIGIN)
    if not isinstance(origin, ConfigRecord):
        raise AdmissionError(f"its reply has no '{protocol.ORIGIN}' record")
    site, tokenizer = origin.get(protocol.SITE), origin.get(protocol.TOKENIZER, "")
    size, synthetic = origin.get(protocol.VOCABULARY_SIZE, 0), origin.get(protocol.SYNTHETIC, False)
    if not (isinstance(site, str) and site and isinstance(tokenizer, str) and isinstance(size, int)):
        raise AdmissionError("its description is malformed")
    if origin.get(protocol.FINGERPRINT) != config.fingerprint:
        raise AdmissionError("it has the settings of another run", where=site)
    pinned = config.data.tokenizer
    if pinned and tokenizer and tokenizer != pinned:
        raise AdmissionError(
            f"its shard's fingerprint is '{tokenizer[:16]}', the run's '{pinned[:16]}'", where=site
        )
    return Description(site, tokenizer, size, bool(synthetic))
