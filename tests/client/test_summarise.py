from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from client.ehr.summarise import summarise
from wardlaw.sketches import VALUES_PER_ITEM, Counts, SiteSketch

NOON = datetime(2020, 1, 1, 12)  # noqa: DTZ001 (MEDS times have no zone)
Row = tuple[int, datetime | None, str, float | None]


def _of(patients: range, code: str, value: float | None = None, times: int = 1) -> list[Row]:
    return [(patient, NOON, code, value) for patient in patients for _ in range(times)]


def _root(write_meds: Callable[..., Path], folder: Path, rows: list[Row]) -> Path:
    """Subjects below 100 are train, the others not."""
    subjects = sorted({row[0] for row in rows})
    rows = sorted(rows, key=lambda row: row[0])
    return write_meds(folder / "meds", [rows], {s: "train" if s < 100 else "tuning" for s in subjects})


def test_units_are_counted_of_train_patients_once_each(
    tmp_path: Path, write_meds: Callable[..., Path]
) -> None:
    rows = _of(range(12), "LAB//a", times=3) + _of(range(100, 150), "LAB//a") + _of(range(100, 150), "LAB//b")
    sketch = summarise(_root(write_meds, tmp_path, rows), "fused", count_rounding=1)
    assert sketch.units == {"LAB//a": Counts(12, 36)}


def test_counts_are_rounded_and_never_to_nothing(tmp_path: Path, write_meds: Callable[..., Path]) -> None:
    root = _root(write_meds, tmp_path, _of(range(17), "LAB//a", times=2))
    assert summarise(root, "fused").units == {"LAB//a": Counts(20, 30)}
    assert summarise(root, "fused", count_rounding=100).units == {"LAB//a": Counts(100, 100)}


def test_rare_codes_join_their_nearest_ancestor_that_is_not_rare(
    tmp_path: Path, write_meds: Callable[..., Path]
) -> None:
    rows = (
        _of(range(20), "DIAGNOSIS//ICD//10//I5021")
        + _of(range(20, 26), "DIAGNOSIS//ICD//10//I5022")
        + _of(range(24, 30), "DIAGNOSIS//ICD//10//I509")
        + _of(range(5), "DIAGNOSIS//ICD//10//J18")
        + _of(range(5, 10), "DIAGNOSIS//ICD//10//K35")
        + _of(range(9), "RARE//a")
    )
    root = _root(write_meds, tmp_path, rows)
    assert summarise(root, "fused", count_rounding=1).units == {
        "DIAGNOSIS//ICD//10//I50": Counts(10, 12),
        "DIAGNOSIS//ICD//10//I5021": Counts(20, 20),
        "DIAGNOSIS//UNK": Counts(10, 10),
    }
    assert summarise(root, "ethos", count_rounding=1).units == {
        "+ICD10CM//1//21": Counts(20, 20),
        "DIAGNOSIS//ICD//10//I50": Counts(30, 32),
        "DIAGNOSIS//UNK": Counts(10, 10),
    }


@pytest.mark.parametrize("scheme", ["ethos", "fused"])
def test_no_code_below_the_floor_is_in_the_bytes(
    tmp_path: Path, write_meds: Callable[..., Path], scheme: str
) -> None:
    rng = np.random.default_rng(0)
    rows: list[Row] = []
    patients_of = {}
    for number in range(60):
        kind = ("LAB//item", "DIAGNOSIS//ICD//10//Q", "MEDICATION//ATC//X", "NOTE//smith, j.|")[number % 4]
        code = f"{kind}{number:02}"
        patients_of[code] = int(rng.integers(1, 25))
        rows += _of(range(patients_of[code]), code, float(number), times=3)
    content = summarise(_root(write_meds, tmp_path, rows), scheme, floor=12).to_bytes()  # type: ignore[arg-type]
    below = [code for code, patients in patients_of.items() if patients < 12]
    above = [code for code, patients in patients_of.items() if patients >= 12]
    assert len(below) > 10
    assert len(above) > 10
    assert all(code.encode() not in content for code in below)
    assert all(code.encode() in content for code in above)


def test_values_leave_only_of_codes_whose_values_many_patients_have(
    tmp_path: Path, write_meds: Callable[..., Path]
) -> None:
    rows = _of(range(30), "LAB//a") + _of(range(9), "LAB//a", 7654.25, times=50)
    rows += _of(range(30), "LAB//b", 1.0)
    sketch = summarise(_root(write_meds, tmp_path, rows), "fused")
    assert sketch.units.keys() == {"LAB//a", "LAB//b"}
    assert sketch.values.keys() == {"LAB//b"}
    assert np.float32(7654.25).tobytes() not in sketch.to_bytes()
    assert sketch.values["LAB//b"].items.sum() * VALUES_PER_ITEM == 30


def test_an_extreme_value_is_not_in_the_bytes(tmp_path: Path, write_meds: Callable[..., Path]) -> None:
    rows = [row for value in range(40) for row in _of(range(value, value + 2), "LAB//a", float(value))]
    rows += [(3, NOON, "LAB//a", 98765.5)]
    content = summarise(_root(write_meds, tmp_path, rows), "ethos").to_bytes()
    assert np.float32(98765.5).tobytes() not in content
    values = SiteSketch.from_bytes(content, site="a", scheme="ethos").values["LAB//a"].values
    assert set(values.tolist()) <= set(range(40))


def test_age_is_the_value_of_birth(tmp_path: Path, write_meds: Callable[..., Path]) -> None:
    rows = _of(range(30), "LAB//a")
    rows += [(s, NOON - timedelta(days=365.25 * (40 + s // 10)), "MEDS_BIRTH", None) for s in range(30)]
    cells = summarise(_root(write_meds, tmp_path, rows), "ethos").values["MEDS_BIRTH"]
    assert cells.values.tolist() == [40.0, 41.0, 42.0]
    assert cells.items.tolist() == [1, 1, 1]


def test_values_read_in_several_passes_are_the_same(
    tmp_path: Path, write_meds: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    rows: list[Row] = [
        (int(rng.integers(0, 40)), NOON, f"LAB//{rng.integers(0, 9)}", float(rng.normal()))
        for _ in range(3000)
    ]
    root = _root(write_meds, tmp_path, rows)
    once = summarise(root, "ethos").to_bytes()
    monkeypatch.setattr("client.ehr.summarise.VALUES_AT_ONCE", 700)
    assert summarise(root, "ethos").to_bytes() == once


def test_a_floor_below_ten_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="floor"):
        summarise(tmp_path, "ethos", floor=9)


def test_a_site_without_train_patients_tells_nothing(tmp_path: Path, write_meds: Callable[..., Path]) -> None:
    sketch = summarise(_root(write_meds, tmp_path, _of(range(100, 130), "LAB//a", 1.0)), "ethos")
    assert sketch.units == {}
    assert sketch.values == {}
    assert SiteSketch.from_bytes(sketch.to_bytes(), site="a", scheme="ethos").units == {}
