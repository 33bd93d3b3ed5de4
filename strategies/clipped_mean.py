"""Federated averaging that hides whether a site took part."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from numpy.typing import NDArray

from strategies.accumulator import WeightedMean
from strategies.clipped_sum import ClippedSum
from strategies.guarded import Float64, Guard, GuardedStrategy
from strategies.screening import Contract
from wardlaw.errors import CheckpointError, ConfigError, RoundError
from wardlaw.privacy.client_level import ClientLevel
from wardlaw.privacy.epsilon import epsilon_text
from wardlaw.privacy.releases import Releases

logger = logging.getLogger(__name__)

_RELEASES = "privacy/releases"


class ClippedMean(GuardedStrategy):
    """Clipped updates, a fixed denominator, Gaussian noise (McMahan et al., arXiv 1710.06963, algorithm 1).

    w <- w + eta (sum_i w_i clip(w_i' - w, C) + N(0, (z C)^2 I)) / sites, with weights of at most 1.
    Sites that do not answer leave the denominator as it is. The unit is a site, and with few of
    them the noise exceeds the signal: see ``docs/client-level-privacy.md``.

    Parameters
    ----------
    guard : Guard
        Its weighting is "tokens" where ``privacy`` caps the weights, else either.
    privacy : ClientLevel
    releases : Releases
        The secret, and the list that each new model is put on before it is returned.
    clip_norm : float
        C: largest L2 norm of an update, all arrays together.
    server_learning_rate : float
        eta; it acts on what is private already and costs nothing.
    """

    def __init__(
        self,
        guard: Guard,
        privacy: ClientLevel,
        releases: Releases,
        *,
        clip_norm: float,
        server_learning_rate: float,
    ) -> None:
        super().__init__(guard)
        self.privacy = privacy
        self.releases = releases
        self.clip_norm = clip_norm
        self.server_learning_rate = server_learning_rate

    def step(
        self, model: NDArray[np.float32], mean: Float64, state: Mapping[str, Float64]
    ) -> tuple[Float64, dict[str, Float64]]:
        """Follow the mean update, which stands in the place of the mean model."""
        return model + self.server_learning_rate * mean, {}

    def require_rounds(self, rounds: int) -> None:
        """Refuse a run whose models would pass the limit of epsilon.

        Raises
        ------
        ConfigError
        """
        following = len(self.releases) + rounds
        if not self.privacy.allows(following):
            cost = epsilon_text(self.privacy.epsilon(following), ".3f")
            raise ConfigError(
                f"{following} models would cost a client-level epsilon of {cost}, "
                f"above strategy.epsilon-limit = {self.privacy.epsilon_limit:g}",
                remedy="Plan more noise or fewer rounds",
            )

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> list[Message]:
        """Messages to the cohort, if another model may be released.

        Raises
        ------
        RoundError
            If it would pass the limit of epsilon.
        """
        following = len(self.releases) + 1
        if not self.privacy.allows(following):
            cost = epsilon_text(self.privacy.epsilon(following), ".3f")
            raise RoundError(
                f"another model would cost a client-level epsilon of {cost}, "
                f"above strategy.epsilon-limit = {self.privacy.epsilon_limit:g}",
                where=f"round {server_round}",
                remedy="The last round's model is the run's; a new run can plan more noise or fewer rounds",
            )
        return super().configure_train(server_round, arrays, config, grid)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """As for every strategy; the new model is on the list of releases before it is returned."""
        record, metrics = super().aggregate_train(server_round, replies)
        if record is not None:
            assert isinstance(self._mean, ClippedSum)
            self.releases.note(server_round, self._mean.key)
            self.adapt(self._mean)
            assert self.report is not None
            self.report = replace(self.report, figures=self.figures())
            listed = ", ".join(
                f"{name} {epsilon_text(value, '.6g')}" for name, value in self.figures().items()
            )
            logger.info("round %d: client-level privacy: %s", server_round, listed)
        return record, metrics

    def adapt(self, released: ClippedSum) -> None:
        """What changes after a release: nothing where C is fixed."""

    def figures(self) -> dict[str, float]:
        """What the models released so far cost, and the noise on the next: columns of a round's row."""
        return {
            "client_epsilon": self.privacy.epsilon(len(self.releases)),
            "client_delta": self.privacy.delta,
            "releases": len(self.releases),
            "clip_norm": self.clip_norm,
            "noise_std": self.privacy.noise_std(self.clip_norm),
            "noise_over_update": self.privacy.noise_over_update(self._size()),
        }

    def summary(self) -> None:
        """Log the settings, and what they do not protect."""
        super().summary()
        logger.warning(
            "client-level privacy hides that a site took part, no patient of it, and trusts this server; "
            "losses, counts and site names are not covered; with %d sites the noise on each number "
            "of the mean update is %.3g C, and %.3g C together in a million numbers",
            self.privacy.sites,
            self.privacy.noise_std(1.0),
            self.privacy.noise_over_update(1_000_000),
        )

    def settings(self) -> dict[str, float]:
        """C, eta and the mechanism's."""
        return {
            "clip_norm": self.clip_norm,
            "server_learning_rate": self.server_learning_rate,
            "noise_multiplier": self.privacy.noise_multiplier,
            "expected_sites": self.privacy.sites,
            "weight_cap": self.privacy.weight_cap,
            "epsilon_limit": self.privacy.epsilon_limit,
            "delta": self.privacy.delta,
        }

    def state_arrays(self) -> dict[str, Float64]:
        """The number of releases, which the list must not fall short of."""
        return {**super().state_arrays(), _RELEASES: np.array([float(len(self.releases))])}

    def load_state(self, arrays: Mapping[str, Float64]) -> None:
        """Take over what ``state_arrays`` gave.

        Raises
        ------
        CheckpointError
            If it is another strategy's state, or releases are missing from the list.
        """
        own = dict(arrays)
        counted = own.pop(_RELEASES, None)
        if counted is None:
            raise CheckpointError(f"the saved state is not that of {type(self).__name__}")
        if len(self.releases) < counted[0]:
            raise CheckpointError(
                f"the list of releases has {len(self.releases)} of this run, of {int(counted[0])}",
                remedy="Restore the server's folder of releases: without it the epsilon would be too low",
            )
        super().load_state(own)

    def _fresh_mean(self, contract: Contract) -> WeightedMean:
        def key_of(digest: bytes) -> bytes:
            return self.releases.key(contract.server_round, digest)

        self._mean = ClippedSum(self._model, self.clip_norm, self.privacy, key_of)
        return self._mean

    def _size(self) -> int:
        return sum(array.size for array in self._model.values())
