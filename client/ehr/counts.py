"""What became of each table's rows."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from wardlaw.errors import DataError

QUARANTINE_CAP = 0.05


@dataclass
class TableCounts:
    """Rows of one table.

    Attributes
    ----------
    rows : int
        Rows read.
    events : int
        Events written.
    skipped : Counter
        Rows of an event rule that say nothing, by reason.
    quarantined : dict of str to Counter
        Rows that were set aside as faulty: for each reason, the number by event rule. Rules
        that read the same faulty column set aside the same rows, so a reason's total is the
        largest of its rules.
    values_nulled : int
        Events whose numeric value was not finite and was dropped.
    """

    rows: int = 0
    events: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    quarantined: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    values_nulled: int = 0

    def faults(self) -> dict[str, int]:
        """Rows set aside, by reason."""
        totals = {reason: max(rules.values()) for reason, rules in sorted(self.quarantined.items())}
        return {reason: number for reason, number in totals.items() if number}

    def record(self) -> dict[str, object]:
        """Plain form for JSON, without zeros."""
        return {
            "rows": self.rows,
            "events": self.events,
            "skipped": {reason: n for reason, n in sorted(self.skipped.items()) if n},
            "quarantined": self.faults(),
            "values-nulled": self.values_nulled,
        }

    def check(self, table: str, cap: float) -> None:
        """Refuse a table of which too much is faulty.

        Raises
        ------
        DataError
            If any reason sets aside more than the share ``cap`` of the rows.
        """
        for reason, number in self.faults().items():
            if number > cap * self.rows:
                raise DataError(
                    f"{number} of {self.rows} rows have {reason}, more than {cap:.0%}",
                    where=f"table {table}",
                    remedy="Look at the export of this table, or raise --quarantine-cap",
                )
