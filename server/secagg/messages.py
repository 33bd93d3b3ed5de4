"""Messages with a content of its own for each site."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from flwr.app import ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid

from server.replies import replies_in_order
from strategies.exchange import Exchange, Participant
from strategies.screening import Contract
from wardlaw import protocol
from wardlaw.secagg import words


@dataclass(frozen=True)
class Post:
    """The way to the sites in one session.

    Attributes
    ----------
    grid : Grid
    contract : Contract
        Of the run, round and model.
    session : str
    order : mapping
        What the ``config`` record of ``train`` has besides.
    deadline_s : float
        Seconds that a stage waits for replies.
    """

    grid: Grid
    contract: Contract
    session: str
    order: Mapping[str, bool | int | float | str]
    deadline_s: float

    def ask(
        self, kind: str, contents: Mapping[Participant, RecordDict]
    ) -> tuple[Exchange, Iterator[Message]]:
        """Send each participant its own content, and take replies one at a time.

        Parameters
        ----------
        kind : str
            Message type.
        contents : mapping of Participant to RecordDict
            Without ``config`` record, which is added.
        """
        settings = {
            **self.order,
            protocol.SERVER_ROUND: self.contract.server_round,
            protocol.FINGERPRINT: self.contract.fingerprint,
            words.SESSION: self.session,
        }
        messages = []
        for participant, content in contents.items():
            content[protocol.CONFIG] = ConfigRecord({**settings})
            group = str(self.contract.server_round)
            messages.append(Message(content, participant.node, kind, ttl=self.deadline_s, group_id=group))
        asked = [(who.site, message.metadata) for who, message in zip(contents, messages, strict=True)]
        return Exchange(self.contract, tuple(asked)), replies_in_order(self.grid, messages, self.deadline_s)
