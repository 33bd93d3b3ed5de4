"""What a conversion did."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from client.ehr.counts import TableCounts

Progress = Callable[[str, int], None]
"""Told of a table's name and of rows done since the last time."""


def silent(table: str, rows: int) -> None:
    """Progress that nobody watches."""


@dataclass
class Summary:
    """Counts by table, optional tables that were absent, and sizes by site."""

    source: str
    tables: dict[str, TableCounts] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    sites: dict[str, dict[str, int]] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Plain form for JSON."""
        return {
            "source": self.source,
            "tables": {name: counts.record() for name, counts in self.tables.items()},
            "absent-tables": self.absent,
            "sites": self.sites,
        }

    def of_site(self, site: str) -> dict[str, Any]:
        """The record as a site's own root tells it: of sites, only this one."""
        return {**self.record(), "sites": {site: self.sites[site]}}
