"""One question to a cohort, and what came back."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from flwr.app import ArrayRecord, ConfigRecord, Message, Metadata, RecordDict

from strategies.screening import Contract, Reason, ReplyError
from wardlaw import protocol
from wardlaw.arrays import record_bytes
from wardlaw.errors import PolicyError, WardlawError

logger = logging.getLogger(__name__)

Screened = TypeVar("Screened")

_ERROR_CODES = {kind.code for kind in WardlawError.__subclasses__()} | {WardlawError.code}


@dataclass(frozen=True, order=True)
class Participant:
    """A site and the node it is reached by, which differs between runs and after a restart."""

    site: str
    node: int


@dataclass
class Exchange:
    """Messages of one round and the fate of their replies.

    Attributes
    ----------
    contract : Contract
        What each reply must match.
    asked : tuple of (str, Metadata)
        Site and metadata of each message; the Grid writes the message's id there.
    rejected : list of ReplyError
        Replies that did not count, in the order of the sites; a site that never
        answered is among them.
    bytes_down, bytes_up : int
        Model bytes sent and received.
    """

    contract: Contract
    asked: tuple[tuple[str, Metadata], ...] = ()
    rejected: list[ReplyError] = field(default_factory=list)
    bytes_down: int = 0
    bytes_up: int = 0

    def screened(
        self, replies: Iterable[Message], screen: Callable[[RecordDict, str, Contract], Screened]
    ) -> Iterator[Screened]:
        """Take replies one at a time and pass on those that hold.

        A reply is known by the message that it answers. No reply is kept here while
        the next is waited for.
        """
        answered: set[str] = set()
        for reply in replies:
            site = self._site_of(reply)
            try:
                if site is None:
                    sender = f"node {reply.metadata.src_node_id}"
                    raise ReplyError(Reason.MALFORMED, "it answers no message of this round", where=sender)
                if site in answered:
                    raise ReplyError(Reason.DUPLICATE, "it answered before", where=site)
                answered.add(site)
                content = self._content(reply, site)
                del reply
                yield screen(content, site, self.contract)
                del content
            except ReplyError as rejection:
                self._reject(rejection)
        for site, _ in self.asked:
            if site not in answered:
                self._reject(ReplyError(Reason.MISSING, "no reply by the deadline", where=site))

    def _site_of(self, reply: Message) -> str | None:
        # Not by the sender's number: what Flower says in the place of a lost site bears its own.
        question = reply.metadata.reply_to_message_id
        return next((site for site, metadata in self.asked if metadata.message_id == question), None)

    def _content(self, reply: Message, site: str) -> RecordDict:
        if reply.has_error():
            code = failure_code(reply)
            refused = code == PolicyError.code
            what = f"the site {'refuses' if refused else 'failed'}: {code}"
            raise ReplyError(Reason.REFUSED if refused else Reason.FAILED, what, where=site)
        arrays = reply.content.get(protocol.ARRAYS)
        if isinstance(arrays, ArrayRecord):
            self.bytes_up += record_bytes(arrays)
        return reply.content

    def _reject(self, rejection: ReplyError) -> None:
        logger.warning("round %d: %s", self.contract.server_round, rejection)
        self.rejected.append(rejection)


def failure_code(reply: Message) -> str:
    """What may be told of an error reply: our own error's code, or Flower's number.

    The text of Flower's errors is an exception's, which can name a patient.
    """
    reason = reply.error.reason
    return reason if reason in _ERROR_CODES else f"Flower's error {reply.error.code}"


def ask(
    kind: str,
    cohort: Iterable[Participant],
    arrays: ArrayRecord,
    config: ConfigRecord,
    contract: Contract,
    ttl: float,
) -> tuple[Exchange, list[Message]]:
    """Make one message a participant, with the same model and settings.

    Parameters
    ----------
    kind : str
        Message type.
    cohort : iterable of Participant
    arrays : ArrayRecord
        The global model; shared by the messages, so that it is hashed and sent once.
    config : ConfigRecord
        The caller's settings, to which round and fingerprint are added in a copy.
    contract : Contract
    ttl : float
        Seconds after which Flower drops the message and a late reply.
    """
    cohort = list(cohort)
    settings = dict(config) | {
        protocol.SERVER_ROUND: contract.server_round,
        protocol.FINGERPRINT: contract.fingerprint,
    }
    messages = [
        Message(
            RecordDict({protocol.ARRAYS: arrays, protocol.CONFIG: ConfigRecord(settings)}),
            participant.node,
            kind,
            ttl=ttl,
            group_id=str(contract.server_round),
        )
        for participant in cohort
    ]
    asked = tuple(
        (participant.site, message.metadata) for participant, message in zip(cohort, messages, strict=True)
    )
    return Exchange(contract, asked, bytes_down=len(messages) * record_bytes(arrays)), messages
