"""A round of which the server learns the sum: the five stages over Flower's Grid."""

import math
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from flwr.app import ArrayRecord, ConfigRecord, RecordDict

from server.secagg.mean import SecureMean, mean_of
from server.secagg.messages import Post
from server.secagg.screening import (
    screen_agreement,
    screen_ciphertexts,
    screen_masked,
    screen_member,
    screen_shares,
)
from server.secagg.session import (
    Announced,
    MaskedSum,
    Shared,
    announce,
    gather_shares,
    require_agreement,
    require_survivors,
    unmask,
)
from strategies.exchange import Participant
from strategies.screening import Contract
from wardlaw import protocol
from wardlaw.arrays import record_bytes, record_views
from wardlaw.config.federation import FederationSection
from wardlaw.config.secagg import SecAggSection
from wardlaw.errors import RoundError
from wardlaw.secagg import words
from wardlaw.secagg.counts import COUNTS
from wardlaw.secagg.quantisation import Quantisation, noise_share_std
from wardlaw.secagg.roster import session_name
from wardlaw.secagg.vectors import vector_size

Screened = TypeVar("Screened")


@dataclass
class SecureReport:
    """What a round came to beside its mean.

    Attributes
    ----------
    survivors : list of str
        Sites in the sum.
    rejected : dict of str to str
        Reason by site that was lost on the way; of a survivor, why it did not help to unmask.
    tokens : int
        Trained on by the survivors.
    flops, seconds : float
        Of their training, added up.
    bytes_down, bytes_up : int
        Model bytes sent and masked bytes received.
    """

    survivors: list[str] = field(default_factory=list)
    rejected: dict[str, str] = field(default_factory=dict)
    tokens: int = 0
    flops: float = 0.0
    seconds: float = 0.0
    bytes_down: int = 0
    bytes_up: int = 0


class SecureRound:
    """One session with a cohort.

    Parameters
    ----------
    post : Post
    cohort : sequence of Participant
    settings : SecAggSection
    federation : FederationSection
        Its ``replicas`` share the noise, as each site knows; a sum of fewer than ``quorum`` is not unmasked.

    Attributes
    ----------
    report : SecureReport
        Filled as the stages go by, so that a round which fails has one too.
    """

    def __init__(
        self,
        post: Post,
        cohort: Sequence[Participant],
        settings: SecAggSection,
        federation: FederationSection,
    ) -> None:
        self.post = post
        self.cohort = tuple(cohort)
        self.settings = settings
        self.sites = federation.replicas
        self.quorum = federation.quorum
        self.report = SecureReport()

    def run(self, arrays: ArrayRecord) -> SecureMean:
        """The weighted mean of the sites' models after a round that starts from ``arrays``.

        Raises
        ------
        ConfigError
            If the sum could wrap.
        RoundError
            If too few sites are left at some stage, or their sum cannot be theirs.
        """
        quantisation = Quantisation(self.settings.clip_range, self.settings.bits)
        quantisation.require_room(len(self.cohort), self._noise_std())
        announced = self._announce()
        shared = self._share(announced)
        summed = self._sum(shared, arrays)
        require_survivors(shared, summed.survivors)
        self._require_quorum()
        self._require_noise()
        agreements = self._agreements(announced, summed)
        require_agreement(announced, agreements)
        total = unmask(shared, summed, self._shares(agreements))
        return mean_of(total, len(summed.survivors), record_views(arrays), quantisation)

    def _announce(self) -> Announced:
        contract = self.post.contract
        session = session_name(contract.fingerprint, contract.server_round, self.post.session)
        contents = {participant: RecordDict() for participant in self.cohort}
        roster = dict(self._stage(words.SETUP, contents, partial(screen_member, session=session)))
        return announce(session, self.settings.threshold, self.settings.neighbours, roster)

    def _share(self, announced: Announced) -> Shared:
        told = {name: member.parts() for name, member in announced.roster.items()}
        contents = {
            participant: RecordDict({words.ROSTER: ConfigRecord({**told})})
            for participant in self._still(announced.roster)
        }
        made = list(self._stage(words.SHARE, contents, partial(screen_ciphertexts, graph=announced.graph)))
        return gather_shares(
            announced,
            {shares.site: shares.ciphertexts for shares in made},
            {shares.site: shares.commitment for shares in made},
        )

    def _sum(self, shared: Shared, arrays: ArrayRecord) -> MaskedSum:
        contents = {
            participant: RecordDict(
                {
                    protocol.ARRAYS: arrays,
                    words.CIPHERTEXTS: ConfigRecord({**shared.ciphertexts_for(participant.site)}),
                }
            )
            for participant in self._still(shared.ciphertexts)
        }
        self.report.bytes_down = len(contents) * record_bytes(arrays)
        summed = MaskedSum(vector_size(self.post.contract.shapes) + COUNTS)
        for reply in self._stage(words.MASK, contents, partial(screen_masked, announced=shared.announced)):
            summed.add(reply.site, reply.levels, reply.receipt)
            self.report.tokens += reply.tokens
            self.report.flops += reply.flops
            self.report.seconds += reply.seconds
            del reply
        self.report.survivors = summed.survivors
        return summed

    def _agreements(self, announced: Announced, summed: MaskedSum) -> dict[str, bytes]:
        contents = {
            participant: RecordDict({words.RECEIPTS: ConfigRecord({**summed.receipts})})
            for participant in self._still(summed.receipts)
        }
        screen = partial(screen_agreement, announced=announced, survivors=summed.survivors)
        return dict(self._stage(words.AGREE, contents, screen))

    def _shares(self, agreements: Mapping[str, bytes]) -> dict[str, dict[str, bytes]]:
        contents = {
            participant: RecordDict({words.AGREEMENTS: ConfigRecord({**agreements})})
            for participant in self._still(agreements)
        }
        return dict(self._stage(words.UNMASK, contents, screen_shares))

    def _stage(
        self,
        kind: str,
        contents: Mapping[Participant, RecordDict],
        screen: Callable[[RecordDict, str, Contract], Screened],
    ) -> Iterator[Screened]:
        exchange, replies = self.post.ask(kind, contents)
        yield from exchange.screened(replies, screen)
        self.report.bytes_up += exchange.bytes_up
        self.report.rejected |= {rejection.where: rejection.reason.value for rejection in exchange.rejected}

    def _still(self, sites: Mapping[str, object]) -> list[Participant]:
        return [participant for participant in self.cohort if participant.site in sites]

    def _noise_std(self) -> float:
        """Standard deviation of the noise on the sum if nobody is lost."""
        settings = self.settings
        share = noise_share_std(settings.noise_multiplier, settings.norm_bound, self.sites, settings.dropouts)
        return share * math.sqrt(self.sites)

    def _require_quorum(self) -> None:
        if (alive := len(self.report.survivors)) < self.quorum:
            raise RoundError(f"{alive} valid replies are less than the quorum of {self.quorum}")

    def _require_noise(self) -> None:
        lost = self.sites - len(self.report.survivors)
        if self.settings.noise_multiplier and lost > self.settings.dropouts:
            raise RoundError(
                f"{lost} sites are lost, more than secagg.dropouts = {self.settings.dropouts}: "
                "the noise on the sum would be short",
                remedy="Bring them back, or set secagg.dropouts higher in a new run",
            )


def new_session() -> str:
    """Random name of a session."""
    return secrets.token_hex(16)
