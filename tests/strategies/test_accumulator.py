import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from strategies import accumulator, parallel
from strategies.accumulator import WeightedMean, all_finite

FINITE = st.floats(-(2.0**100), 2.0**100, width=32)
WEIGHT = st.integers(1, 1 << 38)


def mean_by_loop(models, weights):
    """Each product in float64, their sum exact."""
    total = sum(weights)
    return [
        math.fsum(weight * float(model[index]) / total for model, weight in zip(models, weights, strict=True))
        for index in range(models[0].size)
    ]


def mean_of(models, weights):
    mean = WeightedMean({"a": models[0].shape})
    for model, weight in zip(models, weights, strict=True):
        mean.add({"a": model}, weight)
    return mean.mean()["a"]


@given(st.lists(st.tuples(arrays(np.float32, 5, elements=FINITE), WEIGHT), min_size=1, max_size=6))
def test_it_is_the_mean_of_a_loop(pairs):
    models, weights = zip(*pairs, strict=True)
    largest = max(float(np.abs(model).max()) for model in models)
    np.testing.assert_allclose(
        mean_of(models, weights), mean_by_loop(models, weights), rtol=1e-13, atol=1e-14 * largest
    )


@given(arrays(np.float32, 7, elements=st.floats(width=32, allow_nan=False, allow_infinity=False)), WEIGHT)
def test_the_mean_of_one_model_is_that_model_to_the_bit(model, weight):
    assert mean_of([model], [weight]).astype(np.float32).tobytes() == model.tobytes()


@given(st.lists(arrays(np.float32, 3, elements=FINITE), min_size=1, max_size=5), st.integers(1, 1000))
def test_only_the_ratio_of_weights_counts(models, factor):
    ones = [1] * len(models)
    scaled = [factor] * len(models)
    largest = max(float(np.abs(model).max()) for model in models)
    np.testing.assert_allclose(
        mean_of(models, ones), mean_of(models, scaled), rtol=1e-13, atol=1e-14 * largest
    )


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_blocks_threads_and_pairs_change_no_bit(models, seed):
    """To the bit ((w_1 x_1 + w_2 x_2) + w_3 x_3 ...) / w in float64."""
    generator = np.random.default_rng(seed)
    shapes = {"a": (2, accumulator.BLOCK + 1), "empty": (0, 2), "scalar": (), "b": (700,)}
    mean, expected, total = WeightedMean(shapes), {}, 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "WORTH_IT", 0)
        for _ in range(models):
            weight = int(generator.integers(1, 1 << 38))
            model = {
                name: np.asarray(generator.standard_normal(shape), np.float32)
                for name, shape in shapes.items()
            }
            mean.add(model, weight)
            total += weight
            for name, array in model.items():
                product = weight * array.astype(np.float64)
                expected[name] = expected[name] + product if name in expected else product
        found = mean.mean()
    assert all(found[name].tobytes() == (expected[name] / total).tobytes() for name in shapes)


def test_a_mean_that_is_reset_remembers_nothing():
    mean = WeightedMean({"a": (2,)})
    for _ in range(3):
        mean.add({"a": np.full(2, np.nan, np.float32)}, 5)
    mean.mean()
    mean.reset()
    mean.add({"a": np.array([1, 2], np.float32)}, 3)
    np.testing.assert_array_equal(mean.mean()["a"], [1, 2])


def test_models_in_fortran_order_are_added_as_they_are():
    model = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(mean_of([np.asfortranarray(model)], [3]), model)


def test_memory_does_not_grow_with_the_number_of_models():
    def peak(models):
        mean = WeightedMean({"a": (1_000_000,)})
        tracemalloc.start()
        for seed in range(models):
            mean.add({"a": np.full(1_000_000, seed, np.float32)}, 1)
        mean.mean()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    assert peak(12) <= 1.05 * peak(4)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 70, 99])
def test_one_bad_number_is_found(bad, place):
    array = np.ones(100, dtype=np.float32)
    assert all_finite(array)
    array[place] = bad
    assert not all_finite(array)


def test_infinities_that_cancel_are_found_and_large_numbers_are_not_mistaken():
    assert not all_finite(np.array([np.inf, -np.inf], dtype=np.float32))
    assert all_finite(np.full(10, np.finfo(np.float32).max))
    assert all_finite(np.zeros((0, 3), dtype=np.float32))
