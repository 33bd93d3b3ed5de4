"""Resampling against SciPy's, and what it does to tones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from client.ecg.resample import ratio, resampled, resampled_length, taps
from wardlaw.seeds import generator

RATES = [(400, 100), (500, 100), (1000, 100), (257, 100), (100, 250), (360, 500), (128.0, 100.0)]


def tone(frequency: float, rate: float, seconds: float, phase: float = 0.3) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    return np.sin(2 * np.pi * frequency * time + phase)[:, None]


@pytest.mark.parametrize(("rate", "new_rate"), RATES)
def test_block_products_equal_scipys_polyphase_filter(rate: float, new_rate: float) -> None:
    values = generator(0, "resample", int(rate)).normal(size=(2003, 3)) + 2.0
    up, down = ratio(rate, new_rate).as_integer_ratio()
    reference = signal.resample_poly(values, up, down, axis=0, window=taps(up, down), padtype="edge")
    ours = resampled(values, rate, new_rate)
    assert ours.shape == reference.shape == (resampled_length(2003, rate, new_rate), 3)
    np.testing.assert_allclose(ours, reference, atol=1e-6 * np.abs(values).max())


@given(samples=st.integers(1, 700), rates=st.sampled_from(RATES))
def test_any_length_keeps_a_constant_and_gives_the_length_promised(
    samples: int, rates: tuple[float, float]
) -> None:
    ours = resampled(np.full((samples, 2), -3.0), *rates)
    assert len(ours) == -(-samples * int(rates[1]) // int(rates[0]))
    np.testing.assert_allclose(ours, -3.0, rtol=1e-3)


@pytest.mark.parametrize(("rate", "new_rate"), RATES)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.8])
def test_tones_that_the_new_rate_can_hold_pass_without_a_shift(
    rate: float, new_rate: float, share: float
) -> None:
    frequency = share * min(rate, new_rate) / 2
    ours = resampled(tone(frequency, rate, 8), rate, new_rate)
    exact = tone(frequency, new_rate, 8)[: len(ours)]
    inner = slice(round(new_rate), -round(new_rate))
    assert np.abs(ours - exact)[inner].max() < 1e-3


@pytest.mark.parametrize(("rate", "new_rate"), [(400, 100), (500, 100), (1000, 100), (257, 100)])
@pytest.mark.parametrize("share", [1.0, 1.2, 1.7, 2.3])
def test_tones_that_would_alias_are_suppressed_by_60_db(rate: float, new_rate: float, share: float) -> None:
    ours = resampled(tone(share * new_rate / 2, rate, 8), rate, new_rate)
    assert np.abs(ours[round(new_rate) : -round(new_rate)]).max() < 1e-3


def test_an_impulse_stays_at_its_time() -> None:
    values = np.zeros((1000, 1))
    values[500] = 1.0
    ours = resampled(values, 500, 100)[:, 0]
    assert ours.argmax() == 100
    np.testing.assert_allclose(ours[80:100], ours[120:100:-1], atol=1e-7)


def test_only_the_edges_know_what_lies_beyond_them() -> None:
    values = generator(0, "edges").normal(size=(5000, 1))
    other = values.copy()
    other[:2500] += 7.0
    unequal = np.flatnonzero(np.abs(resampled(values, 500, 100) - resampled(other, 500, 100))[:, 0] < 1e-7)
    assert unequal.min() >= 500 + 22
    half = len(taps(1, 5)) // 2
    assert half / 500 < 0.22
    whole, shorter = resampled(values, 500, 100), resampled(values[:4000], 500, 100)
    sure = 800 - half // 5 - 1
    np.testing.assert_allclose(whole[:sure], shorter[:sure], atol=1e-6)


def test_the_same_rate_changes_nothing() -> None:
    values = generator(0, "same").normal(size=(50, 12))
    np.testing.assert_array_equal(resampled(values, 250, 250.0), values.astype(np.float32))
