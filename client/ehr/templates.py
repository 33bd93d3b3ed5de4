"""Code templates of a source's TOML, such as ``LAB//{itemid}//{valueuom?}``.

A field is ``{column|filter|filter}``. A field that is null makes the whole code null, so
that the next template of the list is tried, or the row has no such event; a field that
ends in ``?`` reads ``UNK`` instead, as MEDS extractions do.
"""

import re
from collections.abc import Iterable, Mapping

import polars as pl

from client.ehr.filters import Filter
from wardlaw.errors import ConfigError

UNKNOWN = "UNK"
_FIELD = re.compile(r"\{([\w.]+)((?:\|[\w-]+)*)(\?)?\}")


def columns_of(templates: Iterable[str]) -> list[str]:
    """Columns that the templates read, sorted."""
    return sorted({field[1] for template in templates for field in _FIELD.finditer(template)})


def reference(text: str, filters: Mapping[str, Filter]) -> pl.Expr:
    """Expression of ``column|filter|filter``."""
    column, *names = text.split("|")
    expression = pl.col(column)
    for name in names:
        if name not in filters:
            raise ConfigError(f"unknown filter {name!r}", where=text, remedy=f"Known: {', '.join(filters)}")
        expression = filters[name](expression)
    return expression


def template_expression(template: str, filters: Mapping[str, Filter]) -> pl.Expr:
    """String expression of one template over the columns that it names."""
    parts: list[pl.Expr] = []
    end = 0
    for field in _FIELD.finditer(template):
        parts.append(pl.lit(template[end : field.start()]))
        text = _tidy(reference(field[1] + field[2], filters))
        parts.append(text.fill_null(UNKNOWN) if field[3] else text)
        end = field.end()
    return pl.concat_str([*parts, pl.lit(template[end:])])


def first_complete(templates: Iterable[str], filters: Mapping[str, Filter]) -> pl.Expr:
    """The first template whose required fields are all there."""
    return pl.coalesce([template_expression(template, filters) for template in templates])


def _tidy(text: pl.Expr) -> pl.Expr:
    tidy = text.cast(pl.String).str.replace_all(r"\s+", " ").str.strip_chars()
    return pl.when(tidy != "").then(tidy)
