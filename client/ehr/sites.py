"""Divide a source's patients into sites by a column of their visits.

A patient who was at two sites is a patient at each, with that site's part of the record
and the same id, hence in the same split.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from client.ehr.labels import Labels
from wardlaw.errors import ConfigError, DataError

WHOLE = "all"


@dataclass(frozen=True)
class Sites:
    """Site of each visit.

    Attributes
    ----------
    names : list of str
        Sites, in alphabetical order.
    numbers : (visits,) int32
        Place of each visit's site in ``names``.
    chosen : tuple of str
        Sites that are wanted; empty for all.
    """

    names: list[str]
    numbers: NDArray[np.int32]
    chosen: tuple[str, ...]

    @classmethod
    def of(
        cls, visits: pl.DataFrame, columns: Collection[str], column: str, chosen: tuple[str, ...]
    ) -> "Sites":
        """Sites by ``column``; one site where it is empty.

        Raises
        ------
        ConfigError
            If the column cannot name a site, or sites are chosen without a column.
        DataError
            If a chosen site is not in the data.
        """
        check_column(column, columns, chosen)
        name = site_name(pl.col(column)) if column else pl.lit(WHOLE)
        labels = Labels.of(visits.select(pl.first(), name.alias("site"))["site"])
        check_sites(labels.names, chosen, column)
        return cls(labels.names, labels.numbers, chosen)

    def divide(self, events: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
        """Rows of each chosen site, in their order."""
        sites = self.numbers[events["visit"].to_numpy()]
        for number in np.unique(sites):
            site = self.names[number]
            if not self.chosen or site in self.chosen:
                mine = sites == number
                yield site, events if mine.all() else events.filter(mine)

    def visits(self, site: str) -> int:
        """Visits at a site."""
        return int((self.numbers == self.names.index(site)).sum())


def check_column(column: str, columns: Collection[str], chosen: tuple[str, ...]) -> None:
    """Refuse a column that cannot name a site, and chosen sites without a column."""
    known = ", ".join(columns) or "none here"
    if chosen and not column:
        raise ConfigError("needs --site-column", where="--site", remedy=f"Columns that name a site: {known}")
    if column and column not in columns:
        raise ConfigError(
            f"no column {column}", where="--site-column", remedy=f"Columns that name a site: {known}"
        )


def check_sites(present: Collection[str], chosen: tuple[str, ...], column: str) -> None:
    """Refuse a chosen site that has no patients."""
    if absent := sorted(set(chosen) - set(present)):
        raise DataError(f"no patients at {', '.join(absent)}", where=column, remedy="Check --site")


def site_name(column: pl.Expr) -> pl.Expr:
    """Folder name of a site: lower case, anything but letters and digits is a hyphen."""
    text = column.cast(pl.String).fill_null("unknown").str.to_lowercase()
    return text.str.replace_all(r"[^a-z0-9]+", "-").str.strip_chars("-")
