"""Loss of the global model on all sites' patients, pooled exactly from the sites' sums."""

import logging
from dataclasses import dataclass
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, MetricRecord
from flwr.serverapp import Grid

from server.census import Census
from server.replies import replies_in_order
from server.roster import Roster, rejoin
from strategies.guarded import GuardedStrategy
from strategies.screening import Reason, SiteScore
from wardlaw import protocol
from wardlaw.config import RunConfig
from wardlaw.errors import RoundError

REPLICA = "global"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """Sums over one split.

    Attributes
    ----------
    split : str
    scores : tuple of SiteScore
        By site.
    nats : float
    tokens, events : int
        Over all sites.
    unscored : dict of str to str
        Reason by site that is not in the sums.
    """

    split: str
    scores: tuple[SiteScore, ...]
    nats: float
    tokens: int
    events: int
    unscored: dict[str, str]

    @property
    def loss_per_token(self) -> float:
        """Nats per token."""
        return self.nats / self.tokens if self.tokens else float("nan")

    @property
    def loss_per_event(self) -> float:
        """Nats per event."""
        return self.nats / self.events if self.events else float("nan")

    def rows(self) -> list[dict[str, Any]]:
        """Rows of ``evaluation``, one a site."""
        return [{"replica": REPLICA, "split": self.split, **vars(score)} for score in self.scores]


def evaluate_sites(
    grid: Grid,
    strategy: GuardedStrategy,
    roster: Roster,
    arrays: ArrayRecord,
    *,
    split: str,
    server_round: int,
    deadline_s: float,
) -> Evaluation:
    """Ask every site of the roster for its sums on one split.

    Parameters
    ----------
    grid : Grid
    strategy : GuardedStrategy
    roster : Roster
    arrays : ArrayRecord
        The global model.
    split : {"tuning", "held_out"}
    server_round : int
        Round that the model is of.
    deadline_s : float
    """
    strategy.cohort = roster.participants(roster.sites)
    order = ConfigRecord({protocol.SPLIT: split, protocol.TOKENIZER: roster.tokenizer})
    messages = strategy.configure_evaluate(server_round, arrays, order, grid)
    replies = replies_in_order(grid, messages, deadline_s)
    pooled = strategy.aggregate_evaluate(server_round, replies) or MetricRecord()
    absent = {site: "absent" for site in roster.sites if site not in roster.nodes}
    return Evaluation(
        split,
        strategy.scores,
        float(pooled.get(protocol.NATS, 0.0)),  # type: ignore[arg-type]
        int(pooled.get(protocol.TOKENS, 0)),  # type: ignore[arg-type]
        int(pooled.get(protocol.EVENTS, 0)),  # type: ignore[arg-type]
        strategy.unscored | absent,
    )


def final_evaluation(
    grid: Grid,
    strategy: GuardedStrategy,
    roster: Roster,
    census: Census,
    arrays: ArrayRecord,
    config: RunConfig,
) -> Evaluation:
    """Score the final model on every site of the roster.

    A result over fewer sites would not compare with another run's. So a site that is not
    scored is asked again, and in the end fails the run, resumable; only a site whose own
    policy refuses evaluation is left out.

    Raises
    ------
    RoundError
        If a site is still not scored after ``federation.failed-rounds`` tries.
    """
    for _ in range(config.federation.failed_rounds):
        roster = rejoin(roster, census, config)
        evaluation = evaluate_sites(
            grid,
            strategy,
            roster,
            arrays,
            split=config.evaluation.split,
            server_round=config.rounds,
            deadline_s=config.federation.round_deadline_s,
        )
        missing = {site: reason for site, reason in evaluation.unscored.items() if reason != Reason.REFUSED}
        if not missing and evaluation.tokens:
            return evaluation
    raise RoundError(
        f"the final model is not scored at {_listed(missing) or 'any site with patients'}",
        where=config.evaluation.split,
        remedy="Start the run again when the sites are back: only the evaluation is left",
    )


def _listed(sites: dict[str, str]) -> str:
    return ", ".join(f"{site} ({reason})" for site, reason in sites.items())
