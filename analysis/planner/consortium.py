"""What a consortium has and what it asks for."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from wardlaw.errors import RecordError

_COLUMNS = ("site", "patients", "tokens")


@dataclass(frozen=True)
class Shard:
    """A site's training shard, as ``wardlaw simulate shards`` lists it.

    Attributes
    ----------
    site : str
    patients, tokens : int
        Of the train split.
    """

    site: str
    patients: int
    tokens: int


@dataclass(frozen=True)
class Privacy:
    """What each site requires of the whole training, for one patient.

    Attributes
    ----------
    epsilon : float
    delta : float
    """

    epsilon: float
    delta: float


@dataclass(frozen=True)
class Consortium:
    """Sites and budgets.

    Attributes
    ----------
    shards : tuple of Shard
    compute : float
        Training FLOPs of all sites together.
    privacy : Privacy or None
    megabits : float
        Bandwidth of a site's link, in 10^6 bits a second each way.
    speed : float or None
        FLOP/s of one site; None for that of the machine the runs were trained on.
    """

    shards: tuple[Shard, ...]
    compute: float
    privacy: Privacy | None = None
    megabits: float = 100.0
    speed: float | None = None

    def __post_init__(self) -> None:
        positive = {"--compute": self.compute, "--bandwidth": self.megabits, "--speed": self.speed}
        if self.privacy:
            positive |= {"--epsilon": self.privacy.epsilon, "--delta": self.privacy.delta}
        for option, value in positive.items():
            if value is not None and not 0 < value < float("inf"):
                raise RecordError(f"{value:g} is not a positive number", where=option)
        if self.privacy and self.privacy.delta >= 1:
            raise RecordError("delta is a probability below 1", where="--delta", remedy="Take 1 / patients")
        if not self.shards:
            raise RecordError("a consortium needs a site", where="--sites")

    @property
    def sites(self) -> int:
        """Number of sites."""
        return len(self.shards)

    @property
    def unique_tokens(self) -> int:
        """Training tokens of all sites."""
        return sum(shard.tokens for shard in self.shards)


def read_shards(path: Path) -> tuple[Shard, ...]:
    """Read a CSV table with the columns ``site``, ``patients`` and ``tokens``.

    Raises
    ------
    RecordError
        If a column is missing, a number is not a positive whole one, or a site appears twice.
    """
    try:
        table = pl.read_csv(path, infer_schema_length=None)
    except (OSError, pl.exceptions.PolarsError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise RecordError(f"cannot be read as a table: {first}", where=str(path)) from None
    if missing := [name for name in _COLUMNS if name not in table.columns]:
        raise RecordError(
            f"there is no column {', '.join(missing)}",
            where=str(path),
            remedy="`wardlaw simulate shards FEDERATION --out sites.csv` writes site, patients and tokens",
        )
    for name in ("patients", "tokens"):
        if not table.schema[name].is_integer() or table[name].null_count() or (table[name] <= 0).any():
            raise RecordError(f"{name} must be positive whole numbers", where=str(path))
    if table["site"].n_unique() < len(table):
        twice = table.filter(pl.col("site").is_duplicated())["site"][0]
        raise RecordError(f"site {twice} appears twice", where=str(path))
    return tuple(
        Shard(str(site), patients, tokens) for site, patients, tokens in table.select(_COLUMNS).rows()
    )
