import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.ehr.positions import window_positions

MINUTES = st.lists(st.integers(0, 10**6), min_size=1, max_size=60).map(sorted).map(np.array)


@given(MINUTES)
def test_ethos_counts(minutes: np.ndarray) -> None:
    assert window_positions("ethos", minutes).tolist() == list(range(len(minutes)))


@given(MINUTES, st.integers(0, 10**7), st.data())
def test_fused_distances_depend_on_what_lies_between_only(
    minutes: np.ndarray, shift: int, data: st.DataObject
) -> None:
    whole = window_positions("fused", minutes)
    assert whole.dtype == np.float32
    assert whole[0] == 0
    assert (np.diff(whole) > 0.999).all()
    first = data.draw(st.integers(0, len(minutes) - 1))
    part = window_positions("fused", minutes[first:] + shift)
    np.testing.assert_allclose(part, whole[first:] - whole[first], atol=1e-3)


def test_fused_steps_are_one_and_the_logarithm_of_hours() -> None:
    found = window_positions("fused", np.array([0, 0, 60, 60 + 24 * 60]))
    assert found.tolist() == pytest.approx([0.0, 1.0, 3.0, 4.0 + np.log2(25)])


def test_no_tokens_have_no_positions() -> None:
    assert window_positions("fused", np.array([], dtype=np.int32)).shape == (0,)
