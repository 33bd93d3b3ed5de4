"""Times of events: absolute columns, or minutes counted from a visit's origin."""

import polars as pl

from client.ehr.config import Event

OLDEST = 130
_END_OF_DAY = pl.duration(hours=23, minutes=59, seconds=59)
_FORMATS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M")


def parse_times(text: pl.Series) -> pl.Series:
    """Times of a text column; null where there is none or it cannot be read.

    A bare date is the end of that day: the event may have happened at any hour of it, and
    must not stand before what it followed.
    """
    if text.dtype == pl.Datetime:
        return text
    times = pl.Series(text.name, [None], dtype=pl.Datetime("us")).new_from_index(0, len(text))
    for form in _FORMATS:
        read = text.str.to_datetime(form, time_unit="us", strict=False, cache=False)
        times = times.zip_with(times.is_not_null(), read)
        if times.null_count() == text.null_count():
            return times
    dates = text.str.to_datetime("%Y-%m-%d", time_unit="us", strict=False)
    return times.zip_with(times.is_not_null(), dates.to_frame().select(pl.first() + _END_OF_DAY).to_series())


def birth(year: pl.Expr, age: pl.Expr) -> pl.Expr:
    """1 January of the year in which someone of this age was born; null if there is no such age."""
    sound = age.is_between(0, OLDEST) & year.is_between(OLDEST, 9999)
    return pl.datetime(pl.when(sound).then(year - age), 1, 1).alias("birth")


def columns_of_time(event: Event) -> list[str]:
    """Columns that an event's time is read from."""
    return [name for name in (*event.time, event.offset, event.not_before, event.not_after) if name]


def is_told(event: Event, rows: pl.DataFrame) -> pl.Series:
    """Whether each row says anything where its time should be."""
    columns = [event.offset] if event.offset else list(event.time)
    return rows.select(pl.any_horizontal(pl.col(columns).is_not_null())).to_series()


def event_times(event: Event, rows: pl.DataFrame, origin: str) -> pl.Series:
    """Time of each row's event; null where there is none or it cannot be read."""
    if event.offset:
        since = _bounded(
            event, rows.select(pl.col(columns_of_time(event)).cast(pl.Float64, strict=False)), event.offset
        )
        minutes = rows.select(pl.col(origin)).with_columns(since.alias("minutes"))
        return minutes.select(pl.col(origin) + pl.duration(seconds=pl.col("minutes") * 60)).to_series()
    parsed = pl.DataFrame([parse_times(rows[name]) for name in columns_of_time(event)])
    first = parsed.select(pl.coalesce(event.time).alias("first")).to_series()
    return _bounded(event, parsed.with_columns(first), "first")


def _bounded(event: Event, columns: pl.DataFrame, name: str) -> pl.Series:
    time = pl.col(name)
    if event.not_before:
        time = pl.when(pl.col(name).is_not_null()).then(pl.max_horizontal(name, event.not_before))
    if event.not_after:
        time = pl.when(pl.col(name).is_not_null()).then(pl.min_horizontal(time, event.not_after))
    return columns.select(time).to_series()
