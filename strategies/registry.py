"""Strategies by their section of a run's configuration."""

from strategies.fedadam import FedAdam
from strategies.fedavg import FedAvg
from strategies.fedavgm import FedAvgM
from strategies.fednesterov import FedNesterov
from strategies.fedprox import FedProx
from strategies.guarded import Guard, GuardedStrategy
from wardlaw.config.strategy import StrategySection


def build_strategy(
    section: StrategySection, *, fingerprint: str, quorum: int, reply_within_s: float
) -> GuardedStrategy:
    """Strategy of a run.

    Parameters
    ----------
    section : StrategySection
    fingerprint : str
        Of the run's configuration.
    quorum : int
        Valid replies without which a round fails.
    reply_within_s : float
        Time to live of a message.
    """
    guard = Guard(fingerprint, section.weighting, quorum, reply_within_s)
    eta, beta = section.server_learning_rate, section.server_momentum
    match section.name:
        case "fedavg":
            return FedAvg(guard)
        case "fedprox":
            return FedProx(guard, proximal_mu=section.proximal_mu)
        case "fedavgm":
            return FedAvgM(guard, server_learning_rate=eta, server_momentum=beta)
        case "fednesterov":
            return FedNesterov(guard, server_learning_rate=eta, server_momentum=beta)
        case "fedadam":
            return FedAdam(
                guard,
                server_learning_rate=eta,
                beta_1=section.beta_1,
                beta_2=section.beta_2,
                tau=section.tau,
            )
