import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardlaw.errors import ShardError
from wardlaw.vocabulary import INTERVALS, Event, Interval, Marker, Vocabulary, decode, interval_classes

CODES = ("+ICD10CM//1//21", "DIAGNOSIS//ICD//10//I50", "DIAGNOSIS//UNK", "LAB//a", "MEDS_DEATH")
ETHOS = Vocabulary("ethos", CODES, {"LAB//a": (1.0, 2.5)})
FUSED = Vocabulary("fused", ("DIAGNOSIS//UNK", "LAB//a", "MEDS_DEATH"), {"LAB//a": (1.0, 2.5)})


def test_tokens_are_special_then_intervals_then_bins_then_codes() -> None:
    assert ETHOS.tokens[:4] == ("[PAD]", "[UNK]", "[START]", "[END]")
    assert ETHOS.tokens[4:17] == tuple(interval.name for interval in INTERVALS)
    assert ETHOS.tokens[17:27] == tuple(f"_Q{number}" for number in range(1, 11))
    assert ETHOS.tokens[27:] == CODES
    assert FUSED.tokens[4:] == (
        "DIAGNOSIS//UNK",
        "LAB//a",
        "LAB//a//_Q1",
        "LAB//a//_Q2",
        "LAB//a//_Q3",
        "MEDS_DEATH",
    )


def test_a_code_is_written_by_its_nearest_admitted_ancestor() -> None:
    whole = ETHOS.encode("DIAGNOSIS//ICD//10//I5021")
    assert [ETHOS.tokens[token] for token in whole.tokens] == ["DIAGNOSIS//ICD//10//I50", "+ICD10CM//1//21"]
    assert (whole.depth, whole.is_unknown) == (0, False)
    shortened = ETHOS.encode("DIAGNOSIS//ICD//10//I509")
    assert [ETHOS.tokens[token] for token in shortened.tokens] == ["DIAGNOSIS//ICD//10//I50"]
    assert (shortened.depth, shortened.is_unknown) == (1, False)
    assert ETHOS.encode("DIAGNOSIS//ICD//10//J18").is_unknown
    assert [ETHOS.tokens[token] for token in ETHOS.encode("OTHER//x").tokens] == ["[UNK]"]
    assert ETHOS.encode("LAB//a").edges == (1.0, 2.5)


def test_ids_of_kind_are_heads_of_events() -> None:
    assert [FUSED.tokens[token] for token in FUSED.ids_of_kind("LAB")] == [
        "LAB//a",
        "LAB//a//_Q1",
        "LAB//a//_Q2",
        "LAB//a//_Q3",
    ]
    assert [ETHOS.tokens[token] for token in ETHOS.ids_of_kind("DIAGNOSIS", "MEDS_DEATH")] == [
        "DIAGNOSIS//ICD//10//I50",
        "DIAGNOSIS//UNK",
        "MEDS_DEATH",
    ]


def test_fingerprint_depends_on_content_and_not_on_order_of_writing(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.json"
    ETHOS.save(path)
    content = json.loads(path.read_text())
    content["codes"].reverse()
    path.write_text(json.dumps(content, indent=3))
    assert Vocabulary.load(path) == ETHOS
    assert Vocabulary.load(path).fingerprint == ETHOS.fingerprint
    content["edges"]["LAB//a"][0] = 1.5
    path.write_text(json.dumps(content))
    assert Vocabulary.load(path).fingerprint != ETHOS.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"scheme": "bpe"},
        {"codes": ["a", "a"]},
        {"codes": [1, 2]},
        {"codes": ["[PAD]"]},
        {"edges": {"LAB//a": [2.0, 1.0]}},
        {"edges": {"LAB//a": []}},
        {"edges": {"LAB//a": list(range(10))}},
        {"edges": {"LAB//a": ["x"]}},
        {"edges": None},
    ],
)
def test_what_is_no_vocabulary_is_one_error_that_names_the_file(tmp_path: Path, change: dict) -> None:
    path = tmp_path / "vocabulary.json"
    path.write_text(json.dumps({**json.loads(ETHOS.to_json()), **change}))
    with pytest.raises(ShardError, match=r"vocabulary\.json: not a vocabulary"):
        Vocabulary.load(path)
    with pytest.raises(ShardError, match="no vocabulary"):
        Vocabulary.load(tmp_path / "absent.json")


def test_intervals_are_those_of_ethos() -> None:
    names = "5m-15m 15m-1h 1h-2h 2h-6h 6h-12h 12h-1d 1d-3d 3d-1w 1w-2w 2w-1mt 1mt-3mt 3mt-6mt =6mt"
    assert [interval.name for interval in INTERVALS] == [f"_{name}" for name in names.split()]


@given(st.lists(st.integers(0, 3_000_000), min_size=1))
def test_interval_classes_hold_their_gaps(gaps: list[int]) -> None:
    classes, repeats = interval_classes(np.array(gaps))
    bounds = [interval.lower for interval in INTERVALS]
    for gap, kind, times in zip(gaps, classes, repeats, strict=True):
        if gap < 5:
            assert times == 0
        elif gap >= bounds[-1]:
            assert (kind, times) == (12, gap // bounds[-1])
        else:
            assert times == 1
            assert bounds[kind] <= gap < bounds[kind + 1]


def test_tokens_decode_to_events_intervals_and_markers() -> None:
    names = ["[START]", "_1h-2h", "DIAGNOSIS//ICD//10//I50", "+ICD10CM//1//21", "LAB//a", "_Q3", "[END]"]
    assert list(decode(ETHOS, [ETHOS.ids[name] for name in names])) == [
        Marker("[START]"),
        Interval("_1h-2h"),
        Event("DIAGNOSIS//ICD//10//I5021"),
        Event("LAB//a", 2),
        Marker("[END]"),
    ]


@given(st.sampled_from([ETHOS, FUSED]), st.data())
def test_any_sequence_decodes(vocabulary: Vocabulary, data: st.DataObject) -> None:
    tokens = data.draw(st.lists(st.integers(0, len(vocabulary) - 1)))
    heads = set(vocabulary.ids_of_kind("DIAGNOSIS", "LAB", "MEDS_DEATH").tolist())
    events = [piece for piece in decode(vocabulary, tokens) if isinstance(piece, Event)]
    assert len(events) == sum(token in heads for token in tokens)
