"""The packed sort keys against sorting tuples in Python."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from client.ehr.parts import sorted_part, told_once
from client.ehr.spill import EVENT_SCHEMA


def random_events(count, fractions, texts):
    rng = np.random.default_rng(0)
    start = datetime.fromisoformat("1900-01-01")
    far = datetime.fromisoformat("9999-12-31 23:59:59")
    times = [
        start + timedelta(days=int(day), microseconds=int(fractions * day))
        for day in rng.integers(0, 9, count)
    ]
    return pl.DataFrame(
        {
            "visit": rng.integers(0, 6, count),
            "time": [None if n % 7 == 0 else far if n % 11 == 0 else time for n, time in enumerate(times)],
            "rank": rng.integers(0, 3, count),
            "code": rng.integers(0, 4, count),
            "numeric_value": [
                None if n % 3 == 0 else float(v)
                for n, v in enumerate(rng.choice([-3e38, -1.5, 0, 2, 3e38], count))
            ],
            "text_value": [str(n % 5) if texts and n % 3 == 0 else None for n in range(count)],
        },
        schema=EVENT_SCHEMA,
    )


@pytest.mark.parametrize(("fractions", "texts"), [(0, False), (1, True)])
def test_order_is_that_of_the_complete_key(fractions, texts):
    subjects = np.array([50, -7, 50, 10**15, 3, 3], dtype=np.int64)
    ranks = np.array([2, 0, 3, 1], dtype=np.uint32)
    events = random_events(3000, fractions, texts)

    early = datetime.fromisoformat("0001-01-01")

    def key(row):
        visit, time, rank, code, value, text = row
        return (
            subjects[visit], time is not None, time or early, rank, ranks[code],
            value is not None, value or 0, text is not None, text or "", visit,
        )  # fmt: skip

    rows = sorted(events.iter_rows(), key=key)
    ours = sorted_part(events.sample(fraction=1, shuffle=True, seed=1), subjects, ranks)
    assert ours["subject_id"].to_list() == [int(subjects[row[0]]) for row in rows]
    assert ours.select("visit", "time", "numeric_value", "text_value").rows() == [
        (visit, time, value, text) for visit, time, _, _, value, text in rows
    ]
    assert ours["code"].to_list() == [int(ranks[row[3]]) for row in rows]


def test_equal_events_are_told_once_only_where_their_code_says_so():
    events = random_events(40, 0, texts=False).with_columns(
        pl.lit(1, dtype=pl.UInt8).alias("rank"), pl.lit(None, dtype=pl.Float32).alias("numeric_value")
    )
    subjects = np.zeros(6, dtype=np.int64)
    ordered = sorted_part(events, subjects, np.arange(4, dtype=np.uint32))
    kept = told_once(ordered, [1, 3])
    pairs = ordered.select("time", "code").rows()
    expected = [pair for n, pair in enumerate(pairs) if pair[1] in (0, 2) or pair not in pairs[:n]]
    assert kept.select("time", "code").rows() == expected
    assert len(expected) < len(pairs)
