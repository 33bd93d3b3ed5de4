"""Name the sites that a source is divided into."""

import polars as pl

from client.ecg.request import ShardRequest
from client.ehr.sites import site_name
from wardlaw.errors import ConfigError


def named_sites(rows: pl.DataFrame, request: ShardRequest) -> pl.DataFrame:
    """The rows with the name of their site, which is its folder's too.

    Without a column all are ``request.site``. With one a site is called by the column's value in lower
    case, after ``request.site-`` where that is given; an empty value is ``unknown``.
    """
    if not request.site_column:
        return rows.with_columns(site=pl.lit(request.site))
    value = site_name(pl.when(pl.col("site") != "").then(pl.col("site")))
    prefix = f"{request.site}-" if request.site else ""
    return rows.with_columns(site=pl.concat_str(pl.lit(prefix), value))


def check_site(request: ShardRequest) -> None:
    """Refuse a request that names no site.

    Raises
    ------
    ConfigError
    """
    if not (request.site or request.site_column):
        raise ConfigError("names no site", where="--site", remedy="Give a name, or --site-column")
