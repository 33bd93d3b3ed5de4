"""Which site this process is, in each of the three runtimes.

In a deployment the node's own configuration names the site's ``site.toml``; in a
simulation the run names a federation folder, and the node's partition is the number
of the site in the order of names. From there on nothing knows the runtime.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from flwr.app import ConfigRecord, Context, RecordDict

from client.modalities import Shard, open_shard
from wardlaw import protocol
from wardlaw.config import RunConfig, SitePolicy, from_flat, load_site_policy
from wardlaw.errors import PolicyError, ShardError
from wardlaw.files import file_sha256

SITE_KEY = "site"
PARTITION_KEY = "partition-id"


@dataclass(frozen=True)
class Site:
    """A site's part in a run.

    Attributes
    ----------
    policy : SitePolicy
        What the site allows, and where its files lie.
    config : RunConfig
        The run's settings as this site received them.
    """

    policy: SitePolicy
    config: RunConfig

    @property
    def name(self) -> str:
        """Name under which the site takes part."""
        return self.policy.site


def resolve_site(context: Context) -> Site:
    """The site and run of a message's context.

    Raises
    ------
    ConfigError
        If the run's settings are not of this version.
    PolicyError
        If the node does not say which site it is, or ``site.toml`` is not valid.
    ShardError
        If the run is pinned to other sites than the federation folder holds.
    """
    config = from_flat(context.run_config)
    if SITE_KEY in context.node_config:
        return Site(load_site_policy(_absolute(str(context.node_config[SITE_KEY]))), config)
    if PARTITION_KEY not in context.node_config:
        raise PolicyError(
            "the node names no site",
            where="node config",
            remedy="Start the node with `wardlaw client start --site site.toml`",
        )
    return Site(_simulated_policy(config, int(context.node_config[PARTITION_KEY])), config)


def tokenizer_of(content: RecordDict, config: RunConfig) -> str:
    """Tokeniser that a message asks for, else the run's settings; empty for any."""
    order = content.config_records.get(protocol.CONFIG, ConfigRecord())
    return str(order.get(protocol.TOKENIZER, config.data.tokenizer))


def open_site_shard(policy: SitePolicy, tokenizer: str = "", *, verify: bool = True) -> Shard:
    """Open a site's shard.

    Parameters
    ----------
    policy : SitePolicy
        Its ``tokens`` is a folder of shards, one a fingerprint, or a shard itself.
    tokenizer : str
        Fingerprint of what made the shard; empty where the site has one shard only.
    verify : bool
        Whether to compare the files' digests.

    Raises
    ------
    ShardError
        If there is no such shard, or several and no fingerprint to choose by.
    """
    if (policy.tokens / "manifest.json").is_file():
        return open_shard(policy.tokens, tokenizer=tokenizer, verify=verify)
    folders = [
        folder
        for folder in sorted(policy.tokens.glob("*"))
        if (folder / "manifest.json").is_file() and folder.name.startswith(tokenizer[:16])
    ]
    if len(folders) != 1:
        found = "no shard" if not folders else f"{len(folders)} shards"
        raise ShardError(
            f"{found} of fingerprint '{tokenizer[:16] or 'any'}'",
            where=str(policy.tokens),
            remedy="Make the site's shard as the run's others were made, and name it by data.tokenizer",
        )
    return open_shard(folders[0], tokenizer=tokenizer, verify=verify)


def _simulated_policy(config: RunConfig, partition: int) -> SitePolicy:
    manifest = Path(config.data.federation) / "federation.json"
    try:
        sites = sorted(json.loads(manifest.read_text(encoding="utf-8"))["sites"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ShardError(f"not a federation folder ({type(error).__name__})", where=str(manifest)) from None
    if config.data.digest and config.data.digest != file_sha256(manifest):
        raise ShardError("data.digest is that of another federation", where=str(manifest))
    names = config.data.site_names or sites
    if partition >= len(names):
        raise PolicyError(f"there are {len(names)} sites and no partition {partition}", where=str(manifest))
    return load_site_policy(manifest.parent / "sites" / names[partition] / "site.toml")


def _absolute(path: str) -> Path:
    if not Path(path).is_absolute():
        raise PolicyError(
            "the node's site.toml must be named by its absolute path",
            where=path,
            remedy="Start the node with `wardlaw client start`",
        )
    return Path(path)
