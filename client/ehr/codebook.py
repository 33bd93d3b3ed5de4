"""The codes of an extraction: a number for each, with its description and parents."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from client.ehr.config import Event, Table
from client.ehr.filters import Filter
from client.ehr.tables import Tables
from client.ehr.templates import columns_of, first_complete, template_expression

_NO_CODE = 2**32 - 1
"""Stands among the known numbers for a combination that has no code."""


@dataclass
class Codebook:
    """Codes in the order they were met.

    Attributes
    ----------
    numbers : dict of str to int
    descriptions : dict of str to str
        Of several descriptions of a code the alphabetically first, so that order does not matter.
    parents : dict of str to set of str
    once : set of int
        Numbers of codes of which equal events are one event.
    """

    numbers: dict[str, int] = field(default_factory=dict)
    descriptions: dict[str, str] = field(default_factory=dict)
    parents: dict[str, set[str]] = field(default_factory=dict)
    once: set[int] = field(default_factory=set)

    def add(self, code: str, description: str | None, parents: list[str], once: bool) -> int:
        """Number of a code, which is new or known."""
        if description is not None:
            self.descriptions[code] = min(description, self.descriptions.get(code, description))
        if parents:
            self.parents.setdefault(code, set()).update(parents)
        number = self.numbers.setdefault(code, len(self.numbers))
        if once:
            self.once.add(number)
        return number

    def ranks(self) -> NDArray[np.uint32]:
        """Alphabetical place of each code by number."""
        ranks = np.empty(len(self.numbers), dtype=np.uint32)
        for rank, code in enumerate(sorted(self.numbers)):
            ranks[self.numbers[code]] = rank
        return ranks

    def table(self, codes: Iterable[str]) -> pl.DataFrame:
        """Rows of ``codes.parquet`` for some codes."""
        codes = sorted(codes)
        return pl.DataFrame(
            {
                "code": codes,
                "description": [self.descriptions.get(code) for code in codes],
                "parent_codes": [sorted(self.parents.get(code, ())) or None for code in codes],
            },
            schema={"code": pl.String, "description": pl.String, "parent_codes": pl.List(pl.String)},
        )


class Coder:
    """Numbers of the codes that one event rule gives to rows.

    Templates are worked out once for each new combination of the columns they read, not
    once a row: a laboratory table has some hundred million rows and some thousand combinations.
    """

    def __init__(
        self, table: Table, event: Event, tables: Tables, filters: dict[str, Filter], codebook: Codebook
    ) -> None:
        self._event, self._filters, self._codebook = event, filters, codebook
        named = columns_of((*event.code, *event.description, *event.parents))
        self._dictionary, self._on = _dictionary(table, tables, named)
        taken = set(self._dictionary.columns) - set(self._on)
        self.columns = sorted((set(named) - taken) | set(self._on))
        self._known = pl.DataFrame(schema={**dict.fromkeys(self.columns, pl.String), "number": pl.UInt32})

    def numbers(self, rows: pl.DataFrame) -> pl.Series:
        """Code number of each row; null where no template is complete."""
        if not self.columns:
            return self._learn(pl.DataFrame()).new_from_index(0, rows.height)
        keys = rows.select(pl.col(self.columns).cast(pl.String))
        numbers = self._look_up(keys)
        if numbers.null_count():
            new = keys.filter(numbers.is_null()).unique()
            self._known = pl.concat([self._known, new.with_columns(self._learn(new).fill_null(_NO_CODE))])
            numbers = self._look_up(keys)
        return numbers.set(numbers == _NO_CODE, None)

    def _look_up(self, keys: pl.DataFrame) -> pl.Series:
        found = keys.join(self._known, on=self.columns, how="left", nulls_equal=True, maintain_order="left")
        return found.get_column("number")

    def _learn(self, combinations: pl.DataFrame) -> pl.Series:
        event = self._event
        told = combinations
        if self._on:
            told = told.join(self._dictionary, on=self._on, how="left", maintain_order="left")
        described = first_complete(event.description, self._filters) if event.description else pl.lit(None)
        parents = [template_expression(template, self._filters) for template in event.parents]
        codes = told.select(
            first_complete(event.code, self._filters).alias("code"),
            described.cast(pl.String).alias("description"),
            (pl.concat_list(parents) if parents else pl.lit([], dtype=pl.List(pl.String))).alias("parents"),
        )
        return pl.Series("number", [self._number(*row) for row in codes.iter_rows()], dtype=pl.UInt32)

    def _number(self, code: str | None, description: str | None, parents: list[str | None]) -> int | None:
        if code is None:
            return None
        return self._codebook.add(code, description, [name for name in parents if name], self._event.once)


def _dictionary(table: Table, tables: Tables, named: list[str]) -> tuple[pl.DataFrame, list[str]]:
    """Dictionary rows for the columns that the templates name; empty where it is absent or not needed."""
    join = table.dictionary
    if join is None or not set(join.take) & set(named):
        return pl.DataFrame(), []
    columns = [*join.on, *join.take]
    if join.table not in tables:
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.String)), list(join.on)
    frame = tables.frame(join.table, columns).sort(columns)
    return frame.unique(list(join.on), keep="first", maintain_order=True), list(join.on)
