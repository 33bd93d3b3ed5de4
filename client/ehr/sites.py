"""Divide a source's patients into sites by a column of their visits.

A patient who was at two sites is a patient at each, with that site's part of the record
and the same id, hence in the same split.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from wardlaw.errors import ConfigError, DataError

WHOLE = "all"


@dataclass(frozen=True)
class Sites:
    """Site of each visit.

    Attributes
    ----------
    names : pl.Series
        Site by visit number.
    chosen : frozenset of str
        Sites that are wanted; empty for all.
    """

    names: pl.Series
    chosen: frozenset[str]

    @classmethod
    def of(
        cls, visits: pl.DataFrame, columns: tuple[str, ...], column: str, only: tuple[str, ...]
    ) -> "Sites":
        """Sites by ``column``; one site where it is empty.

        Raises
        ------
        ConfigError
            If the column cannot name a site, or ``only`` is given without a column.
        DataError
            If a wanted site is not in the data.
        """
        if not column:
            if only:
                raise ConfigError(
                    "--site needs --site-column", where="--site", remedy=f"Columns: {', '.join(columns)}"
                )
            return cls(pl.Series("site", [WHOLE]).new_from_index(0, visits.height), frozenset())
        if column not in columns:
            raise ConfigError(
                f"{column} cannot name a site",
                where="--site-column",
                remedy=f"Use one of {', '.join(columns)}",
            )
        names = visits.select(site_name(pl.col(column)).alias("site")).to_series()
        if absent := sorted(set(only) - set(names.unique())):
            raise DataError(f"no visit at {', '.join(absent)}", where=column, remedy="Check --site")
        return cls(names, frozenset(only))

    def divide(self, events: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
        """Rows of each site in the order given."""
        if not events.height:
            return
        sites = self.names.gather(events["visit"])
        for site in sorted(sites.unique()):
            if not self.chosen or site in self.chosen:
                yield site, events.filter(sites == site)

    def visits(self, site: str) -> int:
        """Visits at a site."""
        return int(np.sum(self.names.to_numpy() == site))


def site_name(column: pl.Expr) -> pl.Expr:
    """Folder name of a site: lower case, anything but letters and digits is a hyphen."""
    text = column.cast(pl.String).fill_null("unknown").str.to_lowercase()
    return text.str.replace_all(r"[^a-z0-9]+", "-").str.strip_chars("-")
