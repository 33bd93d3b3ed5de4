"""[strategy]: how the server turns replies into the next global model."""

from typing import Literal, Self

from pydantic import Field, model_validator

from wardlaw.config.base import Section, added, kebab
from wardlaw.privacy.epsilon import LEAST_DELTA

StrategyName = Literal[
    "fedavg", "fedprox", "fedavgm", "fedadam", "fednesterov", "clipped-mean", "adaptive-clip"
]

_CLIPPED = frozenset(
    {"server_learning_rate", "clip_norm", "noise_multiplier", "weight_cap", "epsilon_limit", "delta"}
)

_FIELDS_OF: dict[str, frozenset[str]] = {
    "fedavg": frozenset(),
    "fedprox": frozenset({"proximal_mu"}),
    "fedavgm": frozenset({"server_learning_rate", "server_momentum"}),
    "fedadam": frozenset({"server_learning_rate", "beta_1", "beta_2", "tau"}),
    "fednesterov": frozenset({"server_learning_rate", "server_momentum"}),
    "clipped-mean": _CLIPPED,
    "adaptive-clip": _CLIPPED | {"clip_quantile", "clip_learning_rate", "count_noise"},
}


class StrategySection(Section):
    """Aggregation strategy of a run.

    Attributes
    ----------
    name : {"fedavg", "fedprox", "fedavgm", "fedadam", "fednesterov", "clipped-mean", "adaptive-clip"}
        The last two are client-level private: the unit is a site, not a patient.
    weighting : {"tokens", "uniform"}
        A site's weight: its number of training tokens, or one.
    proximal_mu : float
        FedProx's mu (arXiv 1812.06127, equation 2).
    server_learning_rate, server_momentum : float
        Outer optimiser of FedAvgM, FedAdam and FedNesterov; the clipped strategies have the rate only.
    beta_1, beta_2, tau : float
        FedAdam's moments and adaptivity (arXiv 2003.00295, algorithm 2).
    clip_norm : float
        C: largest L2 norm of a site's update, all arrays together; the first one where it adapts.
    noise_multiplier : float
        z: noise on the weighted sum of the updates, over C (arXiv 1710.06963, algorithm 1).
    weight_cap : int
        Tokens from which on a site has the whole weight 1, and below which its share of it. It is
        needed where ``weighting`` is "tokens", and 0 where it is "uniform".
    epsilon_limit : float
        Client-level epsilon that no round may pass; 0 is no limit.
    delta : float
        delta of that epsilon.
    clip_quantile, clip_learning_rate : float
        Share of updates that C is to let through whole, and how fast it follows (arXiv 1905.03871,
        algorithm 1).
    count_noise : float
        Standard deviation of the noise on the number of updates within C.
    """

    name: StrategyName = "fedavg"
    weighting: Literal["tokens", "uniform"] = "tokens"
    proximal_mu: float = Field(default=0.0, ge=0)
    server_learning_rate: float = Field(default=1.0, gt=0)
    server_momentum: float = Field(default=0.0, ge=0, lt=1)
    beta_1: float = Field(default=0.9, ge=0, lt=1)
    beta_2: float = Field(default=0.99, ge=0, lt=1)
    tau: float = Field(default=1e-3, gt=0)
    clip_norm: float = added(1.0, gt=0)
    noise_multiplier: float = added(1.0, gt=0)
    weight_cap: int = added(0, ge=0)
    epsilon_limit: float = added(0.0, ge=0)
    delta: float = added(1e-5, ge=LEAST_DELTA, lt=1)
    clip_quantile: float = added(0.5, gt=0, lt=1)
    clip_learning_rate: float = added(0.2, gt=0)
    count_noise: float = added(5.0, gt=0)

    @property
    def client_level(self) -> bool:
        """Whether updates are clipped and noised at the server."""
        return self.name in {"clipped-mean", "adaptive-clip"}

    @model_validator(mode="after")
    def _refuse_settings_of_other_strategies(self) -> Self:
        shared = {"name", "weighting"}
        for field, info in type(self).model_fields.items():
            foreign = field not in shared | _FIELDS_OF[self.name]
            if foreign and getattr(self, field) != info.default:
                raise ValueError(f"strategy.{kebab(field)} has no meaning for strategy.name = '{self.name}'")
        return self

    @model_validator(mode="after")
    def _refuse_weights_that_the_noise_does_not_fit(self) -> Self:
        if self.client_level and self.weighting == "tokens" and not self.weight_cap:
            raise ValueError(
                f"strategy.name = '{self.name}' cannot weigh sites by their tokens: a large one would move "
                "the mean by more than the noise is for; set strategy.weighting = 'uniform', or "
                "strategy.weight-cap"
            )
        if self.weighting == "uniform" and self.weight_cap:
            raise ValueError("strategy.weight-cap has no meaning for strategy.weighting = 'uniform'")
        return self
