"""Quartiles from counted bins against NumPy's from the samples."""

import numpy as np
import pytest

from client.ecg.scaling import BIN_MV, FLOOR_MV, LeadHistogram
from wardlaw.seeds import generator


@pytest.fixture
def signal() -> np.ndarray:
    rng = generator(0, "scaling-test")
    return rng.standard_t(3, size=(20_000, 12)) * np.geomspace(0.05, 2, 12) + np.linspace(-3, 3, 12)


def test_center_and_scale_are_median_and_interquartile_range(signal: np.ndarray) -> None:
    histogram = LeadHistogram()
    for part in np.array_split(signal, 7):
        histogram.add(part)
    center, scale = histogram.center_and_scale()
    low, middle, high = np.percentile(signal, [25, 50, 75], axis=0)
    np.testing.assert_allclose(center, middle, atol=2 * BIN_MV)
    np.testing.assert_allclose(scale, (high - low) / 1.349, atol=2 * BIN_MV)


def test_a_normal_lead_has_its_standard_deviation() -> None:
    histogram = LeadHistogram()
    histogram.add(generator(1, "scaling-test").normal(scale=0.3, size=(100_000, 12)))
    np.testing.assert_allclose(histogram.center_and_scale()[1], 0.3, rtol=0.02)


def test_order_and_pieces_play_no_part(signal: np.ndarray) -> None:
    whole, pieces = LeadHistogram(), LeadHistogram()
    whole.add(signal)
    for part in np.array_split(signal, 13)[::-1]:
        pieces.add(part)
    np.testing.assert_array_equal(whole.center_and_scale(), pieces.center_and_scale())


def test_outliers_beyond_the_bins_count_as_outliers() -> None:
    histogram = LeadHistogram()
    values = np.concatenate([np.linspace(-1, 1, 900), np.full(50, 1e6), np.full(50, -1e6)])
    histogram.add(np.repeat(values[:, None], 12, axis=1))
    center, scale = histogram.center_and_scale()
    assert np.abs(center).max() < 2e-3
    expected = np.subtract(*np.percentile(values, [75, 25])) / 1.349
    np.testing.assert_allclose(scale, expected, atol=3e-3)


def test_a_lead_that_hardly_moves_has_the_floor_and_no_sample_changes_nothing() -> None:
    histogram = LeadHistogram()
    assert [values.tolist() for values in histogram.center_and_scale()] == [[0.0] * 12, [1.0] * 12]
    signal = np.full((1000, 12), 0.4)
    signal[::10] = 2.0
    histogram.add(signal)
    center, scale = histogram.center_and_scale()
    assert scale.tolist() == [FLOOR_MV] * 12
    np.testing.assert_allclose(center, 0.4, atol=BIN_MV)
