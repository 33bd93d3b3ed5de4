"""What every strategy here has in common: all but the server's own step."""

import logging
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.app.typing import MetricRecordValues
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy
from numpy.typing import NDArray

from strategies.accumulator import WeightedMean
from strategies.exchange import Exchange, Participant, ask
from strategies.parallel import map_arrays
from strategies.rounding import rounded_array
from strategies.screening import Contract, SiteScore, screen_evaluate_reply, screen_train_reply
from strategies.train_report import TrainReport
from wardlaw import protocol
from wardlaw.arrays import record_views
from wardlaw.errors import CheckpointError

logger = logging.getLogger(__name__)

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Guard:
    """What replies must satisfy, how many must, and what each weighs.

    Attributes
    ----------
    fingerprint : str
        Of the run's configuration; replies of another run are rejected.
    weighting : {"tokens", "uniform"}
        A site's weight: its training tokens, or one.
    quorum : int
        Valid replies without which there is no new model.
    reply_within_s : float
        Time to live of a message, after which Flower drops a late reply.
    """

    fingerprint: str
    weighting: Literal["tokens", "uniform"] = "tokens"
    quorum: int = 1
    reply_within_s: float = 3600.0


class GuardedStrategy(Strategy):
    """Average that no single reply can break, and a server step left to the subclass.

    Replies are screened and added one at a time in the order given, which the server
    keeps that of the sites' names: the result depends on no arrival, and memory not
    on the number of sites. Where too few replies hold, or the next model would not
    be finite, there is none, and neither the model nor the state has changed.

    Parameters
    ----------
    guard : Guard

    Attributes
    ----------
    cohort : tuple of Participant
        Whom the next messages go to, by the sites' names; the server sets it.
    report : TrainReport
        Of the last round.
    scores : tuple of SiteScore
        Of the last evaluation, with those rejected in ``unscored``.
    """

    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        self.cohort: tuple[Participant, ...] = ()
        self.report: TrainReport | None = None
        self.scores: tuple[SiteScore, ...] = ()
        self.unscored: dict[str, str] = {}
        self._state: dict[str, dict[str, Float64]] = {}
        self._model: dict[str, NDArray[np.float32]] = {}
        self._exchange: Exchange | None = None
        self._mean: WeightedMean | None = None

    @abstractmethod
    def step(
        self, model: NDArray[np.float32], mean: Float64, state: Mapping[str, Float64]
    ) -> tuple[Float64, dict[str, Float64]]:
        """Next value of one array of the model, and of its state.

        A pure function, so that a round that fails leaves no trace.

        Parameters
        ----------
        model : array, float32
            Value that the round started from.
        mean : array, float64
            Weighted mean of the sites' values.
        state : mapping of str to array, float64
            As ``initial_state`` names it, from the round before.
        """

    def initial_state(self) -> dict[str, float]:
        """Names of the state that an array has, and the value it starts from."""
        return {}

    def train_settings(self) -> dict[str, float]:
        """Settings that the sites need to know for this strategy."""
        return {}

    def require_rounds(self, rounds: int) -> None:
        """Refuse at the start a run that a limit of the strategy's own would end before its last round.

        Parameters
        ----------
        rounds : int
            That are left.
        """

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> list[Message]:
        """Messages to the cohort, in its order."""
        self._model = record_views(arrays)
        settings = ConfigRecord(dict(config) | self.train_settings())
        return self._ask(protocol.TRAIN, server_round, arrays, settings)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Take in replies one at a time and make the next global model.

        Returns
        -------
        (ArrayRecord, MetricRecord) or (None, None)
            The next model, with the pooled training loss; nothing where the round failed.
        """
        exchange = self._asked(server_round)
        mean = self._fresh_mean(exchange.contract)
        examples: dict[str, int] = {}
        loss = tokens = flops = seconds = 0.0
        for reply in exchange.screened(replies, screen_train_reply):
            mean.add(reply.arrays, reply.examples if self.guard.weighting == "tokens" else 1)
            examples[reply.site] = reply.examples
            loss += reply.loss * reply.tokens
            tokens += reply.tokens
            flops += reply.flops
            seconds += reply.seconds
            del reply
        failure, record = "", None
        if len(examples) < self.guard.quorum:
            failure = f"{len(examples)} valid replies are less than the quorum of {self.guard.quorum}"
        else:
            record = self.next_model(self._model, mean.mean())
            failure = "" if record is not None else "the next model would not be finite"
        mean.reset()
        self.report = TrainReport(
            examples,
            {rejection.where: rejection.reason.value for rejection in exchange.rejected},
            failure,
            loss / tokens if tokens else float("nan"),
            int(tokens),
            flops,
            seconds,
            exchange.bytes_down,
            exchange.bytes_up,
        )
        if record is None:
            logger.error("round %d failed: %s", server_round, failure)
            return None, None
        pooled: dict[str, MetricRecordValues] = {
            protocol.TRAIN_LOSS: self.report.loss,
            protocol.TRAIN_TOKENS: self.report.tokens,
            protocol.TRAIN_SECONDS: seconds,
        }
        return record, MetricRecord(pooled)

    def next_model(
        self, model: Mapping[str, NDArray[np.float32]], averages: Mapping[str, Float64]
    ) -> ArrayRecord | None:
        """The server's step from the mean of the sites' models, wherever that was made.

        Parameters
        ----------
        model : mapping of str to array, float32
            That the round started from.
        averages : mapping of str to array, float64

        Returns
        -------
        ArrayRecord or None
            None if it would not be finite; the state has not changed then.
        """

        def following(name: str) -> tuple[Array | None, dict[str, Float64]]:
            average = averages[name]
            start = {key: np.full(average.shape, value) for key, value in self.initial_state().items()}
            # What overflows here is found below and fails the round.
            with np.errstate(over="ignore", invalid="ignore"):
                number, state = self.step(model[name], average, self._state.get(name, start))
            return rounded_array(number), state

        size = sum(array.size for array in model.values())
        steps = dict(zip(averages, map_arrays(following, averages, size), strict=True))
        record = {name: array for name, (array, _) in steps.items() if array is not None}
        if len(record) < len(steps):
            return None
        self._state = {name: state for name, (_, state) in steps.items()}
        return ArrayRecord(record)

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> list[Message]:
        """Messages to the cohort, in its order."""
        return self._ask(protocol.EVALUATE, server_round, arrays, config)

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Pool the sites' sums; ``scores`` keeps each site's own.

        Returns
        -------
        MetricRecord or None
            Nats, tokens, events and patients over all sites that answered; nothing
            where they have no token between them.
        """
        exchange = self._asked(server_round)
        self.scores = tuple(exchange.screened(replies, screen_evaluate_reply))
        self.unscored = {rejection.where: rejection.reason.value for rejection in exchange.rejected}
        if not sum(score.tokens for score in self.scores):
            return None
        return MetricRecord(
            {
                protocol.NATS: sum(score.nats for score in self.scores),
                protocol.TOKENS: sum(score.tokens for score in self.scores),
                protocol.EVENTS: sum(score.events for score in self.scores),
                protocol.PATIENTS: sum(score.patients for score in self.scores),
            }
        )

    def summary(self) -> None:
        """Log the strategy and its settings."""
        settings = {"weighting": self.guard.weighting, "quorum": self.guard.quorum} | self.settings()
        listed = ", ".join(f"{name} {value}" for name, value in settings.items())
        logger.info("%s: %s", type(self).__name__, listed)

    def settings(self) -> dict[str, float]:
        """The subclass's own settings, for the log."""
        return {}

    def state_arrays(self) -> dict[str, Float64]:
        """The server step's state, exactly, as ``<state>/<array>``."""
        return {f"{key}/{name}": value for name, own in self._state.items() for key, value in own.items()}

    def load_state(self, arrays: Mapping[str, Float64]) -> None:
        """Take over what ``state_arrays`` gave.

        Raises
        ------
        CheckpointError
            If it is another strategy's state.
        """
        state: dict[str, dict[str, Float64]] = {}
        for path, value in arrays.items():
            key, _, name = path.partition("/")
            state.setdefault(name, {})[key] = value
        if any(own.keys() != self.initial_state().keys() for own in state.values()):
            raise CheckpointError(f"the saved state is not that of {type(self).__name__}")
        self._state = state

    def _ask(self, kind: str, server_round: int, arrays: ArrayRecord, config: ConfigRecord) -> list[Message]:
        shapes = {name: tuple(array.shape) for name, array in arrays.items()}
        contract = Contract(self.guard.fingerprint, server_round, shapes)
        self._exchange, messages = ask(kind, self.cohort, arrays, config, contract, self.guard.reply_within_s)
        return messages

    def _asked(self, server_round: int) -> Exchange:
        if self._exchange is None or self._exchange.contract.server_round != server_round:
            raise ValueError(f"replies of round {server_round} without its messages: configure it first")
        return self._exchange

    def _fresh_mean(self, contract: Contract) -> WeightedMean:
        if self._mean is None or self._mean.shapes != contract.shapes:
            self._mean = WeightedMean(contract.shapes)
        return self._mean
