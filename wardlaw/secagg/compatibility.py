"""What cannot be had together with sums alone."""

from wardlaw.config.strategy import StrategySection
from wardlaw.errors import ConfigError


def require_sums(strategy: StrategySection) -> None:
    """Refuse a strategy that must see single updates.

    Client-level strategies clip each update at the server, as a median, a trimmed mean or a screening by
    norm would compare them: each needs what secure aggregation hides. The site bounds its own update
    instead (``secagg.norm-bound``), and adds its share of noise (``secagg.noise-multiplier``).

    Raises
    ------
    ConfigError
        If the strategy is one.
    """
    if strategy.client_level:
        raise ConfigError(
            f"strategy.name = '{strategy.name}' clips single updates at the server, which sees only sums "
            "with secagg.enabled",
            remedy="Set another strategy, with secagg.norm-bound and secagg.noise-multiplier at the sites",
        )
