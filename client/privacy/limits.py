"""What a site's ``site.toml`` says of privacy."""

from client.privacy.ledger import Ledger
from client.privacy.spending import Limit
from wardlaw.config import RunConfig, SitePolicy
from wardlaw.errors import PolicyError


def ledger_of(policy: SitePolicy) -> Ledger:
    """A site's ledger under the limit in force.

    Raises
    ------
    LedgerError
        If it is missing or damaged.
    """
    return Ledger.load(policy.state, policy.site, limit_of(policy))


def limit_of(policy: SitePolicy) -> Limit | None:
    """The limit of ``site.toml``; None where the ledger's own holds."""
    if policy.epsilon is None:
        return None
    if policy.delta is None:
        raise PolicyError(
            "epsilon is set and delta is not",
            where=f"{policy.site}: delta",
            remedy="Set delta in site.toml, well below one in the number of patients",
        )
    return Limit(policy.epsilon, policy.delta)


def require_private_run(policy: SitePolicy, config: RunConfig) -> None:
    """Refuse to train without privacy at a site that has set a limit.

    Raises
    ------
    PolicyError
    """
    if policy.epsilon is not None and not config.privacy.private:
        raise PolicyError(
            "the site trains in private runs only, and privacy.mechanism is 'none'",
            where=f"{policy.site}: epsilon = {policy.epsilon:g}",
        )
