"""A federated run in one process: what studies use."""

from collections.abc import Iterable
from pathlib import Path

from client.app import app
from client.modalities import require_kind
from client.privacy.ledger import Ledger, has_ledger
from client.privacy.limits import limit_of
from client.privacy.spending import Limit
from client.site import open_site_shard
from client.site_state import read_step_rows
from server.federation import run_federation
from simulations.federation_folder import participating_policies
from simulations.grid import InProcessGrid
from simulations.privacy_record import state_privacy
from wardlaw.config import RunConfig, SitePolicy, to_flat
from wardlaw.records import record_folder, write_table


def run_in_process(config: RunConfig, records: Path) -> Path:
    """Compute a federated run over the sites of ``data.federation``, or go on where it stopped.

    Parameters
    ----------
    config : RunConfig
        A run whose topology is ``federated``.
    records : Path
        Folder of record folders.

    Returns
    -------
    Path
        The finished record's folder.

    Raises
    ------
    ShardError
        If a site has no shard that the run can read.
    """
    policies = participating_policies(config)
    require_shards(config, policies)
    open_ledgers(config, policies)
    run_federation(InProcessGrid(app, len(policies), to_flat(config)), config, records)
    folder = record_folder(records, config)
    collect_steps(config, folder)
    state_privacy(config, folder)
    return folder


def require_shards(config: RunConfig, policies: Iterable[SitePolicy]) -> None:
    """Refuse at once, in full words, a shard for which its site would not be admitted.

    A coordinator would wait for the site and be told a code. Shards that the run is yet to make
    are not looked for.
    """
    if config.data.vocabulary == "existing":
        for policy in policies:
            require_kind(config, open_site_shard(policy, config.data.tokenizer, verify=False))


def open_ledgers(config: RunConfig, policies: Iterable[SitePolicy]) -> None:
    """Begin the ledgers of simulated sites before their first private run; a hospital does so itself."""
    if not config.privacy.private:
        return
    for policy in policies:
        if not has_ledger(policy.state):
            Ledger.open(policy.state, policy.site, limit_of(policy) or Limit(None, config.privacy.delta))


def collect_steps(config: RunConfig, folder: Path) -> None:
    """Bring the rows of all sites' steps, which a hospital would keep, into the run's record."""
    policies = participating_policies(config)
    write_table(folder, "steps", [row for policy in policies for row in read_step_rows(policy, config)])
