"""What a site's ``site.toml`` says of privacy."""

from client.privacy.ledger import Ledger, has_ledger
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
    """The limit of ``site.toml``; None where the ledger's own holds.

    Raises
    ------
    PolicyError
        If only one of epsilon and delta is set: neither means anything alone.
    """
    if policy.epsilon is None and policy.delta is None:
        return None
    if policy.epsilon is None or policy.delta is None:
        absent = "epsilon" if policy.epsilon is None else "delta"
        raise PolicyError(
            f"one of epsilon and delta is set and {absent} is not",
            where=f"{policy.site}: {absent}",
            remedy="Set both in site.toml, delta well below one in the number of patients",
        )
    return Limit(policy.epsilon, policy.delta)


def require_private_run(policy: SitePolicy, config: RunConfig) -> None:
    """Refuse to train without privacy at a site that has set a limit, in ``site.toml`` or in its ledger.

    Raises
    ------
    PolicyError
    """
    if config.privacy.private:
        return
    limit = limit_of(policy)
    if limit is None and has_ledger(policy.state):
        limit = ledger_of(policy).limit
    if limit is not None and limit.epsilon is not None:
        raise PolicyError(
            "the site trains in private runs only, and privacy.mechanism is 'none'",
            where=f"{policy.site}: a limit of epsilon = {limit.epsilon:g}",
        )
