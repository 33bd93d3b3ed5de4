"""A vocabulary common to all sites, fitted from their sketches before training."""

import logging
from collections.abc import Callable, Iterator, Sequence

from flwr.app import ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid

from server.replies import replies_in_order
from server.vocabulary import fit_vocabulary
from strategies.exchange import Participant, failure_code
from wardlaw import protocol
from wardlaw.config import RunConfig
from wardlaw.errors import AdmissionError
from wardlaw.sketches import SiteSketch
from wardlaw.vocabulary import Scheme, Vocabulary

logger = logging.getLogger(__name__)

Refused = Callable[[str, str], None]


def fit_common_vocabulary(
    grid: Grid, config: RunConfig, participants: Sequence[Participant], refused: Refused
) -> Vocabulary:
    """Ask each site for its sketch and fit one vocabulary of ``data.scheme``.

    Parameters
    ----------
    grid : Grid
    config : RunConfig
    participants : sequence of Participant
        In the order of site names; a sketch is held only while it is merged.
    refused : callable
        Told the site and the reason where a site sends no sketch.

    Raises
    ------
    AdmissionError
        If no site sends one.
    """
    replies = _ask(grid, config, participants, protocol.SKETCH, RecordDict())
    vocabulary = fit_vocabulary(_sketches(replies, config.data.scheme, refused), config.data.scheme)
    if not vocabulary.codes:
        raise AdmissionError(
            "no site sent a sketch with a code in it",
            remedy="Sites need 10 train patients a code; read their own logs for why they refused",
        )
    logger.info("vocabulary %s: %d tokens", vocabulary.fingerprint[:16], len(vocabulary))
    return vocabulary


def tokenise_everywhere(
    grid: Grid,
    config: RunConfig,
    participants: Sequence[Participant],
    vocabulary: Vocabulary,
    refused: Refused,
) -> tuple[str, ...]:
    """Send the vocabulary, let each site make its shard, and give the names of those that did."""
    payload = ConfigRecord({protocol.BYTES: vocabulary.to_json().encode()})
    replies = _ask(grid, config, participants, protocol.TOKENIZE, RecordDict({protocol.PAYLOAD: payload}))
    made = []
    for site, reply in replies:
        if reply.has_error():
            refused(site, failure_code(reply))
        else:
            made.append(site)
    return tuple(made)


def _ask(
    grid: Grid, config: RunConfig, participants: Sequence[Participant], kind: str, content: RecordDict
) -> Iterator[tuple[str, Message]]:
    """Send one content to all sites; site and reply of those that answer, in order."""
    order = ConfigRecord({protocol.SERVER_ROUND: 0, protocol.FINGERPRINT: config.fingerprint})
    deadline_s = config.federation.round_deadline_s
    messages = [
        Message(RecordDict({**content, protocol.CONFIG: order}), participant.node, kind, ttl=deadline_s)
        for participant in participants
    ]
    replies = replies_in_order(grid, messages, deadline_s)
    # Not by the sender's number: what Flower says in the place of a lost site bears its own.
    sites = {
        message.metadata.message_id: participant.site
        for message, participant in zip(messages, participants, strict=True)
    }
    for reply in replies:
        yield sites[reply.metadata.reply_to_message_id], reply


def _sketches(
    replies: Iterator[tuple[str, Message]], scheme: Scheme, refused: Refused
) -> Iterator[SiteSketch]:
    for site, reply in replies:
        if reply.has_error():
            refused(site, failure_code(reply))
            continue
        try:
            yield SiteSketch.from_bytes(_payload(reply), site=site, scheme=scheme)
        except AdmissionError as error:
            refused(site, error.what)


def _payload(reply: Message) -> bytes:
    content = reply.content.config_records.get(protocol.PAYLOAD, ConfigRecord()).get(protocol.BYTES)
    if not isinstance(content, bytes):
        raise AdmissionError("its reply has no sketch")
    return content
