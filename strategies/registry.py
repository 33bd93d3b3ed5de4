"""Strategies by their section of a run's configuration."""

from pathlib import Path

from strategies.adaptive_clip import AdaptiveClip
from strategies.clipped_mean import ClippedMean
from strategies.fedadam import FedAdam
from strategies.fedavg import FedAvg
from strategies.fedavgm import FedAvgM
from strategies.fednesterov import FedNesterov
from strategies.fedprox import FedProx
from strategies.guarded import Guard, GuardedStrategy
from wardlaw.config.strategy import StrategySection
from wardlaw.privacy.client_level import ClientLevel
from wardlaw.privacy.releases import Releases


def build_strategy(
    section: StrategySection,
    *,
    fingerprint: str,
    quorum: int,
    reply_within_s: float,
    sites: int = 0,
    private_folder: Path | None = None,
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
    sites : int
        Sites expected in a round: the fixed denominator of a client-level strategy.
    private_folder : Path, optional
        Where a client-level strategy keeps its key and its list of releases: outside of every record.

    Raises
    ------
    ValueError
        If a client-level strategy is to be built without these two.
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
        case "clipped-mean" | "adaptive-clip":
            if sites < 1 or private_folder is None:
                raise ValueError(f"{section.name} needs the number of expected sites and a private folder")
            return _client_level(section, guard, sites, Releases(private_folder, fingerprint))


def _client_level(section: StrategySection, guard: Guard, sites: int, releases: Releases) -> ClippedMean:
    adaptive = section.name == "adaptive-clip"
    privacy = ClientLevel(
        sites,
        section.noise_multiplier,
        section.delta,
        weight_cap=section.weight_cap or 1,
        count_noise=section.count_noise if adaptive else 0.0,
        epsilon_limit=section.epsilon_limit,
    )
    clip_norm, eta = section.clip_norm, section.server_learning_rate
    if not adaptive:
        return ClippedMean(guard, privacy, releases, clip_norm=clip_norm, server_learning_rate=eta)
    return AdaptiveClip(
        guard,
        privacy,
        releases,
        clip_norm=clip_norm,
        server_learning_rate=eta,
        clip_quantile=section.clip_quantile,
        clip_learning_rate=section.clip_learning_rate,
    )
