"""Levels of real numbers: without bias, within a step, and with sums that cannot wrap unseen."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from wardlaw import seeds
from wardlaw.config.secagg import SecAggSection
from wardlaw.errors import ConfigError
from wardlaw.secagg.quantisation import HALF, Quantisation, noise_share_std
from wardlaw.secagg.vectors import difference, split


@given(
    st.integers(2, 31),
    st.floats(1e-6, 1e6),
    st.lists(st.floats(-1, 1), min_size=1, max_size=9),
    st.integers(),
)
def test_a_level_is_within_a_step(bits, clip_range, shares, seed):
    quantisation = Quantisation(clip_range, bits)
    values = np.array(shares) * clip_range
    uniforms = seeds.generator(abs(seed), "uniforms").random(values.size)
    levels = quantisation.quantise(values, uniforms)
    assert (np.abs(levels.view(np.int32).astype(np.int64)) <= quantisation.largest).all()
    # Half a unit of the last place for the division, beside the step itself.
    assert (np.abs(quantisation.real(levels) - values) <= quantisation.step * (1 + 1e-6)).all()


def test_rounding_is_without_bias_and_zero_stays_zero():
    quantisation = Quantisation(1.0, 5)
    uniforms = seeds.generator(3, "uniforms").random(200_000)
    for value in (-0.99, -0.4, 1e-3, 0.71):
        error = quantisation.real(quantisation.quantise(np.full(uniforms.size, value), uniforms)) - value
        assert abs(error.mean()) < 5 * quantisation.step / 2 / np.sqrt(uniforms.size)
    assert not quantisation.quantise(np.zeros(uniforms.size), uniforms).any()


def test_typical_errors_are_as_said():
    """The mean over values of a rounding's variance is a sixth of a step squared."""
    generator = seeds.generator(4, "values")
    quantisation = Quantisation(1.0, 8)
    values = generator.uniform(-1, 1, 200_000)
    errors = quantisation.real(quantisation.quantise(values, generator.random(values.size))) - values
    assert np.square(errors / quantisation.step).mean() == pytest.approx(1 / 6, rel=0.02)


@given(st.integers(1, 500), st.integers(2, 31))
def test_room_is_refused_exactly_where_a_sum_could_pass(sites, bits):
    quantisation = Quantisation(1.0, bits)
    if sites * (quantisation.largest + 1) < HALF:
        quantisation.require_room(sites)
        extreme = np.array([quantisation.largest], np.uint32)
        total = np.zeros(1, np.uint32)
        for _ in range(sites):
            total += extreme
        assert quantisation.real(total)[0] == pytest.approx(sites)
    else:
        with pytest.raises(ConfigError, match=r"secagg\.bits"):
            quantisation.require_room(sites)


def test_noise_wants_room_too():
    quantisation = Quantisation(1.0, 20)
    quantisation.require_room(6, noise_std=100.0)
    with pytest.raises(ConfigError, match="noise of 1000 could pass"):
        quantisation.require_room(6, noise_std=1000.0)


def test_shares_of_noise_sum_to_what_was_asked_for():
    share = noise_share_std(1.5, 2.0, sites=6, dropouts=2)
    assert share * 2 == pytest.approx(1.5 * 2.0)
    with pytest.raises(ConfigError, match="leaves none of 6"):
        noise_share_std(1.5, 2.0, sites=6, dropouts=6)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"neighbours": 6, "threshold": 3}, "more than half"),
        ({"neighbours": 3, "threshold": 4}, "at most all"),
        ({"threshold": 1}, "greater than or equal to 2"),
        ({"bits": 32}, "bits"),
        ({"noise_multiplier": 1.0, "examples_cap": 5}, "hides no sum of weights"),
        ({"dropouts": 1}, "no meaning"),
        ({"clip_range": 0.0}, "clip_range"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, word):
    with pytest.raises(ValidationError, match=word):
        SecAggSection(**changes)


def test_arrays_go_into_a_vector_and_back():
    generator = seeds.generator(6, "arrays")
    shapes = {"b": (3, 2), "a": (), "c": (4,)}
    start = {name: generator.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    start = {name: np.asarray(array) for name, array in start.items()}
    trained = {name: array + np.float32(0.5) for name, array in reversed(start.items())}
    arrays = split(difference(trained, start), shapes)
    assert {name: array.shape for name, array in arrays.items()} == shapes
    assert all(np.allclose(array, 0.5, atol=1e-6) for array in arrays.values())
    with pytest.raises(ValueError, match="a vector of 3 numbers for arrays of 11"):
        split(np.zeros(3), shapes)
