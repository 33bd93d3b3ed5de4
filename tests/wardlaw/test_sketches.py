import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardlaw.errors import AdmissionError
from wardlaw.sketches import KLL_K, RANK_ERROR, Cells, Counts, SiteSketch, merge

SKETCH = SiteSketch(
    "ethos",
    {"LAB//a": Counts(10, 40), "DIAGNOSIS//UNK": Counts(20, 20)},
    {"LAB//a": Cells(np.array([1.5, 2.0], dtype=np.float32), np.array([3, 4]))},
)


def test_bytes_hold_the_sketch_and_only_depend_on_it() -> None:
    content = SKETCH.to_bytes()
    back = SiteSketch.from_bytes(content, site="a", scheme="ethos")
    assert back.scheme == "ethos"
    assert back.units == SKETCH.units
    assert back.values.keys() == {"LAB//a"}
    np.testing.assert_array_equal(back.values["LAB//a"].values, [1.5, 2.0])
    np.testing.assert_array_equal(back.values["LAB//a"].items, [3, 4])
    assert back.to_bytes() == content


@settings(max_examples=100)
@given(st.data())
def test_altered_bytes_are_refused_or_are_a_sketch(data: st.DataObject) -> None:
    content = bytearray(SKETCH.to_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    for altered in (bytes(content), bytes(content[:cut])):
        try:
            sketch = SiteSketch.from_bytes(altered, site="north", scheme="ethos")
        except AdmissionError:
            continue
        assert all(counts.patients > 0 for counts in sketch.units.values())
        assert all(np.isfinite(cells.values).all() for cells in sketch.values.values())


def _with(name: str, column: list) -> bytes:
    table = pa.ipc.open_stream(SKETCH.to_bytes()).read_all()
    place = table.schema.get_field_index(name)
    table = table.set_column(place, table.schema.field(name), pa.array(column, table.schema.field(name).type))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("name", ["LAB//a", "LAB//a"]),
        ("name", ["", "LAB//a"]),
        ("name", [None, "LAB//a"]),
        ("name", ["x" * 2000, "LAB//a"]),
        ("name", ["[PAD]", "LAB//a"]),
        ("name", ["LAB//a//_Q1", "LAB//a"]),
        ("patients", [-1, 10]),
        ("patients", [None, 10]),
        ("patients", [10**15, 10]),
        ("events", [0, 10]),
        ("values", [None, [2.0, 1.0]]),
        ("values", [None, [1.0, float("nan")]]),
        ("values", [None, [1.0, float("inf")]]),
        ("values", [None, [1.0]]),
        ("values", [None, [1.0, None]]),
        ("values", [None, None]),
        ("items", [None, [0, 4]]),
        ("items", [None, [1, -4]]),
        ("items", [None, [1, 2**62]]),
        ("items", [None, [2**62, 2**62]]),
        ("items", [None, []]),
    ],
)
def test_impossible_numbers_of_a_site_are_refused(name: str, column: list) -> None:
    with pytest.raises(AdmissionError, match="north: the sketch cannot be read"):
        SiteSketch.from_bytes(_with(name, column), site="north", scheme="ethos")


def test_a_sketch_of_another_scheme_is_refused() -> None:
    with pytest.raises(AdmissionError, match=r"north: .* not of scheme fused"):
        SiteSketch.from_bytes(SKETCH.to_bytes(), site="north", scheme="fused")
    with pytest.raises(ValueError, match="scheme"):
        merge([SKETCH], "fused")


def test_small_merges_are_exact_in_any_order() -> None:
    rng = np.random.default_rng(0)
    sites = [np.sort(rng.normal(size=size).astype(np.float32)) for size in (10, 300, 2000)]
    sketches = [
        SiteSketch("fused", {"a": Counts(len(v), len(v))}, {"a": Cells(v, np.full(len(v), 2))}) for v in sites
    ]
    ranks = [0.1, 0.25, 0.5, 0.9]
    pooled = np.sort(np.repeat(np.concatenate(sites), 2))
    expected = [pooled[int(np.ceil(rank * len(pooled))) - 1] for rank in ranks]
    for order in (sketches, sketches[::-1]):
        merged = merge(order, "fused")
        assert merged.quantiles("a", ranks) == pytest.approx(expected, abs=0)
        assert merged.units["a"].patients == 2310


def test_large_merges_stay_within_the_stated_rank_error() -> None:
    rng = np.random.default_rng(1)
    sites = [np.sort(rng.lognormal(size=KLL_K).astype(np.float32)) for _ in range(4)]
    sketches = [SiteSketch("fused", {}, {"a": Cells(v, np.full(len(v), 1))}) for v in sites]
    pooled = np.sort(np.concatenate(sites))
    for rank, found in zip(
        (0.1, 0.5, 0.9), merge(sketches, "fused").quantiles("a", [0.1, 0.5, 0.9]), strict=True
    ):
        actual = np.searchsorted(pooled, found, side="right") / len(pooled)
        assert abs(actual - rank) <= 3 * RANK_ERROR  # stated at 99 %: three times that practically never
