import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from client.ehr.cells import form_cells
from wardlaw.sketches import VALUES_PER_ITEM

MEASUREMENTS = st.lists(st.tuples(st.integers(-50, 50), st.integers(0, 25)), min_size=1, max_size=400)


def _intervals(values: np.ndarray, patients: np.ndarray, floor: int) -> list[tuple[float, float]]:
    """Reference: close an interval at the first value by which ``floor`` patients are in it."""
    order = np.argsort(values, kind="stable")
    intervals, seen, low = [], set(), None
    for place in order:
        value = values[place]
        if intervals and value == intervals[-1][1] and low is None:
            continue  # equal to the last value of a closed interval
        low = value if low is None else low
        seen.add(patients[place])
        if len(seen) >= floor:
            intervals.append((low, value))
            seen, low = set(), None
    if intervals:
        intervals[-1] = (intervals[-1][0], values.max())
    return intervals


@settings(max_examples=200)
@given(MEASUREMENTS, st.sampled_from([10, 12]))
def test_every_cell_is_of_many_patients(rows: list[tuple[int, int]], floor: int) -> None:
    values = np.array([value for value, _ in rows], dtype=np.float32)
    patients = np.array([patient for _, patient in rows])
    intervals = _intervals(values, patients, floor)
    cells = form_cells(values, patients, floor, rounding=1)
    assert (cells is None) == (len(set(patients.tolist())) < floor)
    if cells is None:
        return
    assert len(cells.values) == len(intervals)
    for value, (low, high) in zip(cells.values, intervals, strict=True):
        inside = (values >= low) & (values <= high)
        assert len(set(patients[inside].tolist())) >= floor
        assert value == np.sort(values[inside])[(inside.sum() - 1) // 2]


@settings(max_examples=100)
@given(MEASUREMENTS, st.sampled_from([1, 10, 30]))
def test_ranks_are_off_by_less_than_a_cell_and_the_rounding(
    rows: list[tuple[int, int]], rounding: int
) -> None:
    values = np.array([value for value, _ in rows], dtype=np.float32)
    patients = np.array([patient for _, patient in rows])
    cells = form_cells(values, patients, 10, rounding)
    if cells is None:
        return
    masses = [((values >= low) & (values <= high)).sum() for low, high in _intervals(values, patients, 10)]
    told = np.repeat(cells.values, cells.items * VALUES_PER_ITEM)
    for value in np.unique(values):
        error = abs((told <= value).sum() - (values <= value).sum())
        assert error <= max(masses) + rounding / 2 + VALUES_PER_ITEM / 2


def test_one_patients_extreme_does_not_leave() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=500).astype(np.float32)
    values[17], values[18] = 1e9, -1e9
    cells = form_cells(values, rng.integers(0, 50, 500), 10, 10)
    assert cells is not None
    assert np.abs(cells.values).max() < 4


def test_a_patient_with_most_of_the_values_makes_no_cell_of_their_own() -> None:
    values = np.concatenate([np.arange(1000), np.full(9, 500)]).astype(np.float32)
    patients = np.concatenate([np.zeros(1000), np.arange(1, 10)]).astype(np.int64)
    cells = form_cells(values, patients, 10, 1)
    assert cells is not None
    assert len(cells.values) == 1


def test_counts_are_rounded_together() -> None:
    values = np.repeat(np.arange(20), 11).astype(np.float32)
    patients = np.tile(np.arange(11), 20)
    cells = form_cells(values, patients, 10, rounding=50)
    assert cells is not None
    assert (np.cumsum(cells.items) * VALUES_PER_ITEM % 50 == 0).all()
    assert abs(cells.items.sum() * VALUES_PER_ITEM - 220) <= 25


def test_many_values_make_at_most_a_thousand_cells() -> None:
    rng = np.random.default_rng(0)
    cells = form_cells(rng.normal(size=200_000).astype(np.float32), rng.integers(0, 5000, 200_000), 10, 10)
    assert cells is not None
    assert 900 <= len(cells.values) <= 1000
