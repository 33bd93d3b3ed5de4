"""[strategy]: how the server turns replies into the next global model."""

from typing import Literal, Self

from pydantic import Field, model_validator

from wardlaw.config.base import Section, kebab

StrategyName = Literal["fedavg", "fedprox", "fedavgm", "fedadam", "fednesterov"]

_FIELDS_OF: dict[str, frozenset[str]] = {
    "fedavg": frozenset(),
    "fedprox": frozenset({"proximal_mu"}),
    "fedavgm": frozenset({"server_learning_rate", "server_momentum"}),
    "fedadam": frozenset({"server_learning_rate", "beta_1", "beta_2", "tau"}),
    "fednesterov": frozenset({"server_learning_rate", "server_momentum"}),
}


class StrategySection(Section):
    """Aggregation strategy of a run.

    Attributes
    ----------
    name : {"fedavg", "fedprox", "fedavgm", "fedadam", "fednesterov"}
    weighting : {"tokens", "uniform"}
        A site's weight: its number of training tokens, or one.
    proximal_mu : float
        FedProx's mu (arXiv 1812.06127, equation 2).
    server_learning_rate, server_momentum : float
        Outer optimiser of FedAvgM, FedAdam and FedNesterov.
    beta_1, beta_2, tau : float
        FedAdam's moments and adaptivity (arXiv 2003.00295, algorithm 2).
    """

    name: StrategyName = "fedavg"
    weighting: Literal["tokens", "uniform"] = "tokens"
    proximal_mu: float = Field(default=0.0, ge=0)
    server_learning_rate: float = Field(default=1.0, gt=0)
    server_momentum: float = Field(default=0.0, ge=0, lt=1)
    beta_1: float = Field(default=0.9, ge=0, lt=1)
    beta_2: float = Field(default=0.99, ge=0, lt=1)
    tau: float = Field(default=1e-3, gt=0)

    @model_validator(mode="after")
    def _refuse_settings_of_other_strategies(self) -> Self:
        shared = {"name", "weighting"}
        for field, info in type(self).model_fields.items():
            foreign = field not in shared | _FIELDS_OF[self.name]
            if foreign and getattr(self, field) != info.default:
                raise ValueError(f"strategy.{kebab(field)} has no meaning for strategy.name = '{self.name}'")
        return self
