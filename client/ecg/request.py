"""What to turn into signal shards, and how."""

from dataclasses import dataclass, field
from pathlib import Path

RATE = 100.0
MAX_SECONDS = 120.0


@dataclass(frozen=True)
class ShardSettings:
    """How records become a shard.

    Attributes
    ----------
    rate : float
        Samples a second of the shard.
    max_seconds : float
        A longer record is cut to its first seconds.
    seed : int
        Of the splits.
    keep_splits : Path, optional
        An earlier shard, or a folder of some, whose patients stay in their splits.
    """

    rate: float = RATE
    max_seconds: float = MAX_SECONDS
    seed: int = 0
    keep_splits: Path | None = None


@dataclass(frozen=True)
class ShardRequest:
    """A source and how it is to become a shard, or a shard a site.

    Attributes
    ----------
    source : str
        Name in ``client.ecg.sources.registry``.
    folder, out : Path
        What to read, and the folder of the shard (or of a shard a site) to write.
    site : str
        Name of the site.
    patients : Path, optional
        CSV of ``record,patient``, for sources that do not know their patients.
    site_column : str
        Column that divides the source into sites; empty for one shard.
    settings : ShardSettings
    workers : int
        Processes that read.
    """

    source: str
    folder: Path
    out: Path
    site: str = ""
    patients: Path | None = None
    site_column: str = ""
    settings: ShardSettings = field(default_factory=ShardSettings)
    workers: int = 1
