"""``data:`` links, which a browser saves without any network."""

import base64

import polars as pl


def csv_link(table: pl.DataFrame) -> str:
    """A table as CSV."""
    return _link("text/csv", table.write_csv())


def svg_link(svg: str) -> str:
    """A figure as SVG."""
    return _link("image/svg+xml", svg)


def _link(kind: str, text: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(text.encode()).decode()}"
