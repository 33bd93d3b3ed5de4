"""A round of training under secure aggregation, as any other round comes out: a model and a report."""

from collections.abc import Mapping, Sequence

from flwr.app import ArrayRecord
from flwr.serverapp import Grid

from server.secagg.mean import SecureMean
from server.secagg.messages import Post
from server.secagg.round import SecureReport, SecureRound, new_session
from strategies.guarded import GuardedStrategy
from strategies.screening import Contract
from strategies.train_report import TrainReport
from wardlaw.arrays import record_views
from wardlaw.config import RunConfig
from wardlaw.errors import RoundError


def train_on_sums(
    grid: Grid,
    config: RunConfig,
    strategy: GuardedStrategy,
    server_round: int,
    arrays: ArrayRecord,
    order: Mapping[str, bool | int | float | str],
) -> tuple[ArrayRecord | None, TrainReport]:
    """One session with the strategy's cohort, and the strategy's step from the mean that comes of it.

    Parameters
    ----------
    grid : Grid
    config : RunConfig
    strategy : GuardedStrategy
        Its cohort is set.
    server_round : int
    arrays : ArrayRecord
        The round's model.
    order : mapping
        What the ``config`` record of ``train`` has besides.

    Returns
    -------
    following : ArrayRecord or None
        None where too few sites are left at some stage, or the next model would not be finite.
    report : TrainReport
    """
    shapes = {name: tuple(array.shape) for name, array in arrays.items()}
    contract = Contract(config.fingerprint, server_round, shapes)
    deadline = config.federation.round_deadline_s
    post = Post(grid, contract, new_session(), {**order, **strategy.train_settings()}, deadline)
    session = SecureRound(post, strategy.cohort, config.secagg, config.federation)
    try:
        mean = session.run(arrays)
    except RoundError as error:
        return None, _report(session.report, {}, f"{error.where} {error.what}".strip(), {})
    following = strategy.next_model(record_views(arrays), mean.mean())
    failure = "" if following is not None else "the next model would not be finite"
    examples = _examples(session.report.survivors, mean)
    return following, _report(session.report, examples, failure, _figures(mean))


def _examples(survivors: Sequence[str], mean: SecureMean) -> dict[str, int]:
    """Even parts of the sum, all that is known, in whole numbers that sum to it."""
    part, rest = divmod(mean.examples, len(survivors))
    return {site: part + (place < rest) for place, site in enumerate(survivors)}


def _figures(mean: SecureMean) -> dict[str, float]:
    return {"summed_weight": mean.weight, "quantisation_error": mean.error}


def _report(
    session: SecureReport, examples: dict[str, int], failure: str, figures: Mapping[str, float]
) -> TrainReport:
    return TrainReport(
        examples,
        session.rejected,
        failure,
        # A site's loss stays with it, as its update does.
        float("nan"),
        session.tokens,
        session.flops,
        session.seconds,
        session.bytes_down,
        session.bytes_up,
        figures,
    )
