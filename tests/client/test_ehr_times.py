from datetime import datetime

import polars as pl

from client.ehr.config import Event
from client.ehr.times import event_times, parse_times

at = datetime.fromisoformat


def test_times_are_read_in_the_forms_that_sources_use():
    told = [
        "2150-01-03 08:05:09",
        "2150-01-03T08:05:09",
        "2150-01-03 08:05",
        "2150-01-03 08:05:09.500000",
        "x",
        None,
    ]
    times = parse_times(pl.Series("t", told)).to_list()
    day = at("2150-01-03 08:05:09")
    assert times == [day, day, day.replace(second=0), day.replace(microsecond=500_000), None, None]


def test_a_bare_date_is_the_end_of_its_day():
    assert parse_times(pl.Series("t", ["2150-01-03", None])).to_list() == [
        at("2150-01-03 23:59:59"),
        None,
    ]


def test_offsets_count_minutes_from_the_origin_and_are_kept_in_bounds():
    rows = pl.DataFrame(
        {
            "o": ["10", "-5", "x", None],
            "order": ["20", None, "3", "4"],
            "origin": [at("2014-01-01 12:00:00")] * 4,
        }
    )
    event = Event.model_validate({"code": "A", "offset": "o", "not-before": "order"})
    assert event_times(event, rows, "origin").to_list() == [
        at("2014-01-01 12:20:00"),
        at("2014-01-01 11:55:00"),
        None,
        None,
    ]


def test_the_first_time_that_is_told_counts_and_no_later_than_its_bound():
    rows = pl.DataFrame(
        {
            "a": [None, "2150-01-01 10:00:00", None],
            "b": ["2150-01-01 09:00:00", "2150-01-01 08:00:00", None],
            "end": ["2150-01-01 08:30:00", None, "2150-01-01 08:30:00"],
        }
    )
    event = Event.model_validate({"code": "A", "time": ["a", "b"], "not-after": "end"})
    assert event_times(event, rows, "").to_list() == [
        at("2150-01-01 08:30:00"),
        at("2150-01-01 10:00:00"),
        None,
    ]
