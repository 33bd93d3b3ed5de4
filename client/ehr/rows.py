"""From the rows of one table to its events."""

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from client.ehr.codebook import Codebook, Coder
from client.ehr.config import Event, Source, Table
from client.ehr.counts import TableCounts
from client.ehr.filters import Filter
from client.ehr.spill import EVENT_SCHEMA
from client.ehr.tables import Tables
from client.ehr.templates import reference
from client.ehr.times import columns_of_time, event_times, is_told


@dataclass(frozen=True)
class Rule:
    """One event of a table, ready to use."""

    name: str
    event: Event
    coder: Coder
    needs_value: bool


class TableReader:
    """Events of one table.

    Parameters
    ----------
    source : Source
    table : Table
    tables : Tables
    visits : pl.DataFrame
        ``key`` (int64), ``visit`` (uint32) and the source's time columns, one row a visit.
    filters : dict of str to Filter
    codebook : Codebook
        Where codes are numbered.
    """

    def __init__(
        self,
        source: Source,
        table: Table,
        tables: Tables,
        visits: pl.DataFrame,
        filters: dict[str, Filter],
        codebook: Codebook,
    ) -> None:
        self._source, self._table, self._filters = source, table, filters
        self._visits, self._tables = visits, tables
        self._rules = [
            Rule(f"{place}", event, Coder(table, event, tables, filters, codebook), needs_value)
            for place, (event, needs_value) in enumerate(_expanded(table.events))
        ]
        self._joined = _joined(table, tables)
        self.counts = TableCounts()

    def columns(self) -> list[str]:
        """Columns that this table must have."""
        brought = set(self._visits.columns) | (set(self._table.join.take) if self._table.join else set())
        needed = {self._source.key, *(self._table.join.on if self._table.join else ())}
        for condition in self._table.quarantine.values():
            needed |= set(pl.sql_expr(condition).meta.root_names())
        for rule in self._rules:
            event = rule.event
            needed |= {*rule.coder.columns, *columns_of_time(event), event.value.split("|")[0], event.text}
            needed |= set(pl.sql_expr(event.where).meta.root_names()) if event.where else set()
        return sorted(needed - brought - {""})

    def batches(self) -> Iterable[pl.DataFrame]:
        """Rows of the table with what is known of their visit."""
        key = pl.col(self._source.key).cast(pl.Int64, strict=False).alias("key")
        for batch in self._tables.batches(self._table.name, self.columns()):
            rows = batch.with_columns(key)
            if self._table.join is not None:
                rows = rows.join(
                    self._joined, on=list(self._table.join.on), how="left", maintain_order="left"
                )
            yield rows.join(self._visits, on="key", how="left", maintain_order="left")

    def events(self, rows: pl.DataFrame) -> Iterable[pl.DataFrame]:
        """Events of some rows, a frame of `EVENT_SCHEMA` for each rule."""
        self.counts.rows += rows.height
        rows = self._without_faults(rows)
        for rule in self._rules:
            yield self._rule_events(rule, _chosen(rows, rule.event))

    def _without_faults(self, rows: pl.DataFrame) -> pl.DataFrame:
        conditions = {
            "no patient": pl.col("key").is_null(),
            "an unknown patient": pl.col("key").is_not_null() & pl.col("visit").is_null(),
            **{reason: pl.sql_expr(sql) for reason, sql in self._table.quarantine.items()},
        }
        found = rows.select(expr.fill_null(False).alias(reason) for reason, expr in conditions.items())
        for reason, column in zip(conditions, found.get_columns(), strict=True):
            self.counts.quarantined[reason]["all"] += int(column.sum() or 0)
        faulty = found.select(pl.any_horizontal(pl.all())).to_series()
        return rows.filter(~faulty) if faulty.any() else rows

    def _rule_events(self, rule: Rule, rows: pl.DataFrame) -> pl.DataFrame:
        event = rule.event
        frame = rows.select("visit").with_columns(
            self._times(rule, rows).alias("time"),
            pl.lit(event.rank, dtype=pl.UInt8).alias("rank"),
            rule.coder.numbers(rows).alias("code"),
            *self._values(event, rows),
        )
        keep = pl.Series([True]).new_from_index(0, rows.height)
        for reason, silent in (
            ("no value", frame["numeric_value"].is_null() if rule.needs_value else ~keep),
            ("no code", frame["code"].is_null()),
        ):
            self.counts.skipped[reason] += int((keep & silent).sum())
            keep &= ~silent
        if columns_of_time(event):
            keep &= frame["time"].is_not_null()
        frame = (frame if keep.all() else frame.filter(keep)).cast(EVENT_SCHEMA)
        self.counts.events += frame.height
        return frame

    def _times(self, rule: Rule, rows: pl.DataFrame) -> pl.Series:
        event, source = rule.event, self._source
        if not columns_of_time(event):
            return pl.Series("time", [None], dtype=pl.Datetime("us")).new_from_index(0, rows.height)
        times = event_times(event, rows, source.origin)
        told = is_told(event, rows)
        where = ", ".join(event.time) or event.offset
        self._quarantine(rule, f"no time in {where}", ~told)
        self._quarantine(rule, f"an unreadable time in {where}", told & times.is_null())
        if source.first and event.offset:
            outside = (times < rows[source.first]) | (times > rows[source.last])
            self._quarantine(rule, f"a time in {where} far outside the stay", outside)
            times = times.set(outside.fill_null(False), None)
        return times

    def _quarantine(self, rule: Rule, reason: str, rows: pl.Series) -> None:
        self.counts.quarantined[reason][rule.name] += int(rows.sum() or 0)

    def _values(self, event: Event, rows: pl.DataFrame) -> list[pl.Series]:
        values = pl.Series("numeric_value", [None], dtype=pl.Float32).new_from_index(0, rows.height)
        if event.value:
            read = reference(event.value, self._filters).cast(pl.Float64, strict=False)
            if event.missing is not None:
                read = pl.when(read != event.missing).then(read)
            values = rows.select(read.cast(pl.Float32).alias("numeric_value")).to_series()
            unfit = ~values.is_finite().fill_null(True)
            self.counts.values_nulled += int(unfit.sum())
            values = values.set(unfit, None)
        texts = pl.Series("text_value", [None], dtype=pl.String).new_from_index(0, rows.height)
        if event.text:
            texts = rows[event.text].alias("text_value").set(values.is_not_null(), None)
        return [values, texts]


def _chosen(rows: pl.DataFrame, event: Event) -> pl.DataFrame:
    return rows.filter(pl.sql_expr(event.where)) if event.where else rows


def _expanded(events: Iterable[Event]) -> Iterable[tuple[Event, bool]]:
    for event in events:
        if not event.each:
            yield event, False
        for column in event.each:
            codes = tuple(code.replace("{column}", column) for code in event.code)
            yield event.model_copy(update={"code": codes, "value": column, "each": ()}), True


def _joined(table: Table, tables: Tables) -> pl.DataFrame:
    if table.join is None:
        return pl.DataFrame()
    frame = tables.frame(table.join.table, [*table.join.on, *table.join.take])
    return frame.unique(list(table.join.on), keep="any")
