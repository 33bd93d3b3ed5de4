"""The rounds of a federation, from where it stands to its last."""

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord
from flwr.serverapp import Grid

from server.census import Census
from server.checkpoint import Snapshot, oldest_resumable_round
from server.evaluation import evaluate_sites
from server.replies import replies_in_order
from server.roster import Roster, draw_cohort, rejoin
from server.secagg.training import train_on_sums
from strategies.guarded import GuardedStrategy
from strategies.train_report import TrainReport
from wardlaw import protocol
from wardlaw.config import RunConfig
from wardlaw.errors import RoundError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Federation:
    """What stays the same from round to round."""

    grid: Grid
    config: RunConfig
    strategy: GuardedStrategy
    roster: Roster
    census: Census


def run_rounds(federation: Federation, snapshot: Snapshot, keep: Callable[[Snapshot], None]) -> Snapshot:
    """Train the rounds that are left.

    A round that fails (too few valid replies, or no finite model) changes nothing and
    is tried again with the same steps of the same data.

    Parameters
    ----------
    federation : Federation
    snapshot : Snapshot
        Where the run stands.
    keep : callable
        Takes the snapshot after every try: a round that failed adds its row and nothing else.

    Returns
    -------
    Snapshot
        After the last round.

    Raises
    ------
    RoundError
        After ``federation.failed-rounds`` failures one after the other, or when fewer
        sites than the quorum are connected.
    """
    config, failures = federation.config, 0
    started = time.perf_counter()
    while snapshot.progress.server_round < config.rounds:
        federation = replace(federation, roster=rejoin(federation.roster, federation.census, config))
        server_round = snapshot.progress.server_round + 1
        arrays, report, absent = train_round(federation, snapshot.arrays, server_round)
        trained = time.perf_counter()
        row = _row(server_round, report, absent) | {"wall_s": trained - started}
        if arrays is None:
            failures += 1
            rows = (*snapshot.progress.rows, row)
            snapshot = replace(snapshot, progress=replace(snapshot.progress, rows=rows))
            keep(snapshot)
            if failures == config.federation.failed_rounds:
                raise _too_many_failures(server_round, failures, report)
            started = trained
            continue
        failures = 0
        row["tuning_loss"] = _tuning_loss(federation, arrays, server_round)
        # The checkpoint's own time counts towards the next round, the evaluation's towards none.
        started = time.perf_counter()
        snapshot = _following(snapshot, federation.strategy, arrays, report, row)
        keep(snapshot)
    return snapshot


def train_round(
    federation: Federation, arrays: ArrayRecord, server_round: int
) -> tuple[ArrayRecord | None, TrainReport, tuple[str, ...]]:
    """One round of training.

    Returns
    -------
    arrays : ArrayRecord or None
        The next global model, if the round did not fail.
    report : TrainReport
    absent : tuple of str
        Sites of the cohort that are not connected.
    """
    config, roster, strategy = federation.config, federation.roster, federation.strategy
    cohort = draw_cohort(roster.sites, config.federation.replicas, config.run.seed, server_round)
    strategy.cohort = roster.participants(cohort)
    order: dict[str, int | str] = {
        protocol.OLDEST_ROUND: oldest_resumable_round(server_round),
        protocol.TOKENIZER: roster.tokenizer,
    }
    train = train_on_sums if config.secagg.enabled else _train_on_replies
    following, report = train(federation.grid, config, strategy, server_round, arrays, order)
    return following, report, tuple(site for site in cohort if site not in roster.nodes)


def _train_on_replies(
    grid: Grid,
    config: RunConfig,
    strategy: GuardedStrategy,
    server_round: int,
    arrays: ArrayRecord,
    order: Mapping[str, int | str],
) -> tuple[ArrayRecord | None, TrainReport]:
    messages = strategy.configure_train(server_round, arrays, ConfigRecord({**order}), grid)
    replies = replies_in_order(grid, messages, config.federation.round_deadline_s)
    del messages
    following, _ = strategy.aggregate_train(server_round, replies)
    assert strategy.report is not None
    return following, strategy.report


def _tuning_loss(federation: Federation, arrays: ArrayRecord, server_round: int) -> float | None:
    every = federation.config.evaluation.every_rounds
    if not every or server_round % every:
        return None
    evaluation = evaluate_sites(
        federation.grid,
        federation.strategy,
        federation.roster,
        arrays,
        split="tuning",
        server_round=server_round,
        deadline_s=federation.config.federation.round_deadline_s,
    )
    if evaluation.unscored:
        logger.warning("round %d: tuning loss is without %s", server_round, ", ".join(evaluation.unscored))
    return evaluation.loss_per_token if evaluation.tokens else None


def _row(server_round: int, report: TrainReport, absent: tuple[str, ...]) -> dict[str, Any]:
    rejected = report.rejected | dict.fromkeys(absent, "absent")
    return {
        "round": server_round,
        "sites": [] if report.failure else list(report.examples),
        "rejected": [f"{site}: {reason}" for site, reason in sorted(rejected.items())],
        "train_loss": None if math.isnan(report.loss) else report.loss,
        "tuning_loss": None,
        "bytes_down": report.bytes_down,
        "bytes_up": report.bytes_up,
        "training_s": None if math.isnan(report.seconds) else report.seconds,
        **report.figures,
    }


def _following(
    snapshot: Snapshot,
    strategy: GuardedStrategy,
    arrays: ArrayRecord,
    report: TrainReport,
    row: dict[str, Any],
) -> Snapshot:
    before = snapshot.progress
    progress = replace(
        before,
        server_round=before.server_round + 1,
        tokens=before.tokens + report.tokens,
        flops=before.flops + report.flops,
        examples={**before.examples, **report.examples},
        rows=(*before.rows, row),
    )
    return Snapshot(progress, arrays, strategy.state_arrays())


def _too_many_failures(server_round: int, failures: int, report: TrainReport) -> RoundError:
    rejected = ", ".join(f"{site} ({reason})" for site, reason in report.rejected.items())
    return RoundError(
        f"it failed {failures} times: {report.failure}" + (f"; rejected: {rejected}" if rejected else ""),
        where=f"round {server_round}",
        remedy="Mend the sites and start the run again: it goes on from its last round",
    )
