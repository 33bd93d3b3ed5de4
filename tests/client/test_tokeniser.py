import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import meds.schema as meds
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.ehr.meds_root import open_root
from client.ehr.shard import TokenShard, shard_folder
from client.ehr.timeline import read_timelines
from client.ehr.tokenise import tokenise_root
from wardlaw.errors import DataError
from wardlaw.vocabulary import INTERVALS, Event, Interval, Marker, Vocabulary, decode
from wardlaw.vocabulary.hierarchy import encodings, join_units

NOON = datetime(2020, 1, 1, 12)  # noqa: DTZ001 (MEDS times have no zone)
DAY = timedelta(days=1)
ETHOS = Vocabulary(
    "ethos",
    (
        "+ATC//1//B",
        "+ICD10CM//1//21",
        "+ICD10PCS//B",
        "+ICD10PCS//Z",
        "DIAGNOSIS//ICD//10//I50",
        "DIAGNOSIS//UNK",
        "LAB//a",
        "LAB//b//mg",
        "MEDICATION//ATC//N02",
        "MEDS_BIRTH",
        "MEDS_DEATH",
        "PROCEDURE//ICD//10//0",
    ),
    {"LAB//a": (1.0, 2.0, 5.0), "MEDS_BIRTH": (40.0, 60.0), "LAB//b//mg": tuple(range(9))},
)
FUSED = Vocabulary(
    "fused",
    ("DIAGNOSIS//ICD//10//I50", "DIAGNOSIS//UNK", "LAB//a", "LAB//b//mg", "MEDS_BIRTH", "MEDS_DEATH"),
    {"LAB//a": (1.0, 2.0, 5.0), "MEDS_BIRTH": (40.0, 60.0), "LAB//b//mg": tuple(range(9))},
)
CODES = (
    "DIAGNOSIS//ICD//10//I5021",
    "DIAGNOSIS//ICD//10//I509",
    "DIAGNOSIS//ICD//10//J18",
    "GENDER//F",
    "LAB//a",
    "LAB//b//mg",
    "LAB//b//g",
    "MEDICATION//ATC//N02BE01",
    "PROCEDURE//ICD//10//0BZBZZZ",
    "PROCEDURE//ICD//10//0BZBZZX",
    "MEDS_DEATH",
)
Row = tuple[int, datetime | None, str, float | None]
EVENTS = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.one_of(st.none(), st.integers(0, 10**6), st.integers(0, 40)),
        st.sampled_from(CODES),
        st.one_of(st.none(), st.floats(-1, 10, width=32), st.just(float("nan"))),
    ),
    min_size=1,
    max_size=40,
)


def _expected(vocabulary: Vocabulary, rows: list[Row]) -> list[Event | Interval | Marker]:
    """One patient's tokens by a loop over sorted rows."""
    births = [row for row in rows if row[2] == "MEDS_BIRTH" and row[1] is not None]
    static = [row for row in rows if row[1] is None]
    timed = sorted((row for row in rows if row[1] is not None and row not in births), key=lambda row: row[1])
    origin = timed[0][1] if timed else births[0][1] if births else NOON
    written: list[Event | Interval | Marker] = [Marker("[START]")]
    before = 0
    for _, time, code, value in [*static, *births, *timed]:
        minutes = (time - origin) // timedelta(minutes=1) if time and code != "MEDS_BIRTH" else 0
        if vocabulary.scheme == "ethos":
            gap, before = minutes - before, minutes
            fits = [interval for interval in INTERVALS if interval.lower <= gap]
            if fits:
                times = gap // fits[-1].lower if fits[-1] is INTERVALS[-1] else 1
                written += [Interval(fits[-1].name)] * times
        if code == "MEDS_BIRTH":
            value = (origin - time) / timedelta(days=365.25) if time else None
        ways = encodings(vocabulary.scheme, code)
        admitted = [way for way in ways if set(way) <= set(vocabulary.codes)]
        if not admitted:
            written.append(Marker("[UNK]"))
            continue
        edges = vocabulary.edges.get(code, ()) if admitted[0] == ways[0] else ()
        has_bin = bool(edges) and value is not None and not np.isnan(value)
        written.append(Event(join_units(admitted[0]), sum(value > e for e in edges) if has_bin else None))
    return [*written, Marker("[END]")]


@pytest.mark.parametrize("vocabulary", [ETHOS, FUSED], ids=["ethos", "fused"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(EVENTS, st.sets(st.integers(1, 3)))
def test_tokens_decode_to_the_events(
    tmp_path_factory: pytest.TempPathFactory,
    write_meds: Callable[..., Path],
    vocabulary: Vocabulary,
    drawn: list[tuple],
    born: set[int],
) -> None:
    rows: list[Row] = [
        (subject, None if minute is None else NOON + timedelta(minutes=minute), code, value)
        for subject, minute, code, value in drawn
    ]
    subjects = sorted({row[0] for row in rows})
    rows += [(subject, NOON - 50 * 365 * DAY, "MEDS_BIRTH", None) for subject in born & set(subjects)]
    root = write_meds(tmp_path_factory.mktemp("x") / "meds", [rows], dict.fromkeys(subjects, "train"))
    tokenise_root(root, vocabulary, root.parent / "tokens", site="a")
    train = TokenShard.open(shard_folder(root.parent / "tokens", vocabulary.fingerprint)).split("train")
    assert train.subject_ids.tolist() == subjects
    assert train.starts_event.sum() == train.events.sum() == len(rows)
    for subject, first, length, events in zip(
        train.subject_ids, train.first_token, train.lengths, train.events, strict=True
    ):
        own = [row for row in rows if row[0] == subject]
        tokens = train.tokens[first : first + length]
        assert list(decode(vocabulary, tokens)) == _expected(vocabulary, own)
        assert events == len(own)
        assert train.starts_event[first] == 1
        minutes = train.minutes[first : first + length]
        assert minutes[0] == 0
        assert (np.diff(minutes) >= 0).all()


def test_minutes_and_origin_are_of_the_first_timed_event(
    tmp_path: Path, write_meds: Callable[..., Path]
) -> None:
    rows: list[Row] = [
        (7, NOON + timedelta(seconds=119), "LAB//a", 3.0),
        (7, NOON, "LAB//a", None),
        (7, NOON - 50 * 365.25 * DAY, "MEDS_BIRTH", None),
        (7, None, "GENDER//F", None),
    ]
    (_, part), *rest = read_timelines(open_root(write_meds(tmp_path / "meds", [rows], {7: "train"})))
    assert rest == []
    assert [part.names[code] for code in part.codes] == ["GENDER//F", "MEDS_BIRTH", "LAB//a", "LAB//a"]
    assert part.minutes.tolist() == [0, 0, 0, 1]
    assert part.origin.astype(object).tolist() == [NOON]
    np.testing.assert_allclose(part.values, [np.nan, 50.0, np.nan, 3.0], rtol=1e-4)


def test_rows_of_one_time_keep_the_files_order(tmp_path: Path, write_meds: Callable[..., Path]) -> None:
    codes = ["LAB//b//mg", "LAB//a", "MEDS_DEATH", "LAB//a", "LAB//b//g"]
    rows: list[Row] = [(1, NOON + DAY, "LAB//a", None), *((1, NOON, code, None) for code in codes)]
    ((_, part),) = read_timelines(open_root(write_meds(tmp_path / "meds", [rows], {1: "train"})))
    assert [part.names[code] for code in part.codes] == [*codes, "LAB//a"]


def test_counts_say_what_was_not_written(tmp_path: Path, write_meds: Callable[..., Path]) -> None:
    rows: list[Row] = [
        (1, NOON, "DIAGNOSIS//ICD//10//I509", None),
        (1, NOON, "DIAGNOSIS//ICD//10//J18", None),
        (1, NOON, "OTHER//x", 1.0),
        (1, NOON, "LAB//a", 1.0),
        (2, NOON, "LAB//a", None),
    ]
    root = write_meds(tmp_path / "meds", [rows], {1: "train", 2: "held_out"})
    manifest = tokenise_root(root, ETHOS, tmp_path / "tokens", site="north")
    train = manifest.splits["train"]
    assert (train.shortened_codes, train.unknown_codes, train.values_without_bin) == (1, 2, 1)
    assert (train.patients, train.events, train.tokens) == (1, 4, 7)
    assert (manifest.patients("held_out"), manifest.patients("tuning"), manifest.patients("x")) == (1, 0, 0)
    assert (manifest.site, manifest.source, manifest.synthetic) == ("north", "hand-made", False)


def test_the_same_root_gives_the_same_files(tmp_path: Path, write_meds: Callable[..., Path]) -> None:
    rng = np.random.default_rng(0)
    files: list[list[Row]] = [
        [
            (subject, NOON + int(rng.integers(0, 5)) * DAY, CODES[rng.integers(0, len(CODES))], 1.0)
            for subject in range(first, first + 20)
            for _ in range(10)
        ]
        for first in (0, 20)
    ]
    splits = {subject: ("train", "tuning", "held_out")[subject % 3] for subject in range(40)}
    root = write_meds(tmp_path / "meds", files, splits)
    manifests = [tokenise_root(root, ETHOS, tmp_path / name, site="a") for name in ("one", "two")]
    assert manifests[0] == manifests[1]
    assert sum(counts.patients for counts in manifests[0].splits.values()) == 40
    one = shard_folder(tmp_path / "one", ETHOS.fingerprint)
    digest = hashlib.sha256((one / "train.tokens.arrow").read_bytes()).hexdigest()
    assert manifests[0].digests["train.tokens.arrow"] == digest


def test_faulty_roots_are_one_error(tmp_path: Path, write_meds: Callable[..., Path]) -> None:
    rows: list[Row] = [(1, NOON, "LAB//a", 1.0)]

    def refusal(root: Path) -> str:
        with pytest.raises(DataError) as caught:
            tokenise_root(root, ETHOS, tmp_path / "tokens", site="a")
        assert not any((tmp_path / "tokens").glob("*"))
        return str(caught.value)

    assert "no MEDS data" in refusal(tmp_path / "absent")
    assert "1 subjects have no split" in refusal(write_meds(tmp_path / "a", [rows], {2: "train"}))
    root = write_meds(tmp_path / "b", [rows], {1: "train"})
    codes = pq.read_table(root / meds.code_metadata_filepath)
    pq.write_table(codes.slice(0, 0), root / meds.code_metadata_filepath)
    assert "1 codes, such as 'LAB//a', are not in codes.parquet" in refusal(root)
    assert "subject 1 is also in another data file" in refusal(
        write_meds(tmp_path / "c", [rows, rows], {1: "train"})
    )
    root = write_meds(tmp_path / "d", [rows], {1: "train"})
    data = root / "data" / "0.parquet"
    table = pq.read_table(data)
    pq.write_table(table.drop_columns(["time"]), data)
    assert "time" in refusal(root)
    pq.write_table(table.set_column(0, "subject_id", pa.array(["one"])), data)
    assert "subject_id is string and cannot be int64" in refusal(root)
    pq.write_table(table, data)
    data.write_bytes(data.read_bytes()[:-20])
    assert "0.parquet" in refusal(root)
