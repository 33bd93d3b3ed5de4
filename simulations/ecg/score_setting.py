"""Whom an ECG run trained on, and whom its models are asked about: at its sites, and where it never was."""

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client.ecg.evaluation.cohort import Cohort, cohort_of, never_seen
from client.ecg.shard import SPLITS, SignalShard
from client.site import open_site_shard
from simulations.federation_folder import load_federation, participating_policies, site_folder
from wardlaw.config import RunConfig, load_site_policy
from wardlaw.errors import ShardError

logger = logging.getLogger(__name__)

ALL = "all"
"""Site of a row about several sites together."""

SEEN, HOME, ELSEWHERE, UNSEEN = "seen", "home", "elsewhere", "unseen"
"""Held-out records of the run's sites; of a hospital's own model those of its own site and of the others;
all records of sites that the run never saw."""

Rows = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Setting:
    """Where a run trained, and what its models are asked.

    Attributes
    ----------
    train, tuning, seen : Cohort
        The splits of the run's sites; ``seen`` is held out.
    unseen : Cohort
        All records of other sites.
    left_out : Counter
        Records of other sites that are at the run's sites too, by site.
    """

    train: Cohort
    tuning: Cohort
    seen: Cohort
    unseen: Cohort
    left_out: Counter[str]

    @property
    def at_run(self) -> Rows:
        """Which of the records asked are of ``seen``, (n,)."""
        return np.arange(len(self.asked)) < len(self.seen)

    @property
    def asked(self) -> Cohort:
        """Every record that is scored: those of ``seen`` come first."""
        return self.seen + self.unseen


def setting_of(config: RunConfig, outside: Path | None) -> Setting:
    """Open a run's shards and those of the sites that it never saw.

    Parameters
    ----------
    config : RunConfig
        Its ``data.federation`` must still be there.
    outside : Path, optional
        Federation folder of the sites never seen; by default those of the run's own federation that did
        not take part.

    Raises
    ------
    ShardError
        If the sites outside have another rate or other classes, or hold no ECG.
    """
    shards = {
        policy.site: _signal_shard(policy.site, Path(config.data.federation), config.data.tokenizer)
        for policy in participating_policies(config)
    }
    fingerprint = next(iter(shards.values())).manifest.tokenizer
    folder = outside or Path(config.data.federation)
    others = {
        site: _signal_shard(site, folder, fingerprint)
        for site in sorted(load_federation(folder).sites)
        if outside or site not in shards
    }
    unseen, left_out = never_seen(others, cohort_of(shards, *SPLITS))
    for site, count in left_out.items():
        logger.warning("%s: %d records left out, the run's sites have them or their patients", site, count)
    train, tuning, seen = (cohort_of(shards, split) for split in SPLITS)
    return Setting(train, tuning, seen, unseen, left_out)


def _signal_shard(site: str, federation: Path, fingerprint: str) -> SignalShard:
    shard = open_site_shard(load_site_policy(site_folder(federation, site) / "site.toml"), fingerprint)
    if not isinstance(shard, SignalShard):
        raise ShardError(f"it holds {shard.manifest.kind}, not ecg", where=str(shard.folder))
    return shard


def places(setting: Setting, home: str | None) -> Iterator[tuple[str, str, Rows]]:
    """Each group of records that is scored together: where, site, and which of the records asked."""
    sites, at_run = setting.asked.sites, setting.at_run
    groups = {SEEN: at_run, UNSEEN: ~at_run}
    if home:
        groups = {HOME: at_run & (sites == home), ELSEWHERE: at_run & (sites != home), UNSEEN: ~at_run}
        if at_run.any():
            yield SEEN, ALL, at_run
    for where, group in groups.items():
        if group.any() and where != HOME:
            yield where, ALL, group
        for site in np.unique(sites[group]).tolist():
            yield where, site, group & (sites == site)
