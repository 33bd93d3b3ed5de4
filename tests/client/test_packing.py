import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.ehr.batches import BatchStream
from client.ehr.packing import best_fit, cut_windows
from client.ehr.shard import TokenSplit
from models.ehr.packed import IGNORED
from wardlaw.errors import ShardError


def make_split(lengths: list[int], first_id: int = 0) -> TokenSplit:
    """Patients whose tokens are all different, so that a target tells where it is from."""
    sizes = np.array(lengths, np.int64)
    total = int(sizes.sum())
    return TokenSplit(
        tokens=np.arange(first_id, first_id + total, dtype=np.uint32),
        minutes=np.arange(total, dtype=np.int32),
        starts_event=np.ones(total, np.uint8),
        subject_ids=np.arange(len(sizes)),
        first_token=np.cumsum(sizes) - sizes,
        lengths=sizes,
        events=sizes,
        origin=np.zeros(len(sizes), "datetime64[us]"),
    )


def hospital_lengths(patients: int, seed: int = 0) -> list[int]:
    """Lengths of hospital records: lognormal, median 300, 10 to 10,000 tokens."""
    draws = np.random.default_rng(seed).lognormal(np.log(300), 1.2, patients)
    return np.clip(draws, 10, 10_000).astype(int).tolist()


def make_stream(split: TokenSplit, budget: int, context: int, seed: int = 0) -> BatchStream:
    return BatchStream([("site", split)], budget, context, "ethos", seed, "replica")


def test_windows_by_hand() -> None:
    windows = cut_windows([make_split([1, 2, 9, 10])], context=4)
    assert windows.patient.tolist() == [1, 2, 2, 3, 3, 3]
    assert windows.first.tolist() == [1, 3, 7, 12, 16, 20]
    assert windows.length.tolist() == [1, 4, 4, 4, 4, 1]


def test_a_windows_last_input_predicts_the_patients_next_token() -> None:
    stream = make_stream(make_split([9]), budget=8, context=4)
    batch = stream.batch(0)
    assert sorted(zip(batch.tokens.tolist(), batch.targets.tolist(), strict=True)) == [
        (token, token + 1) for token in range(8)
    ]


def naive_best_fit(lengths: list[int], capacity: int) -> list[list[int]]:
    bins: list[list[int]] = []
    for length in lengths:
        gaps = [(capacity - sum(content), index) for index, content in enumerate(bins)]
        fitting = [(gap, index) for gap, index in gaps if gap >= length]
        if fitting:
            bins[min(fitting)[1]].append(length)
        else:
            bins.append([length])
    return bins


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(50, 90))
def test_best_fit_equals_a_search_over_all_bins(lengths: list[int], capacity: int) -> None:
    lengths = sorted(lengths, reverse=True)
    places, bins = best_fit(lengths, capacity)
    loads = np.bincount(places, weights=lengths, minlength=bins)
    assert loads.max() <= capacity
    # Bins of one gap are exchangeable, so only the loads can be compared.
    assert sorted(loads) == sorted(sum(content) for content in naive_best_fit(lengths, capacity))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=40),
    st.sampled_from([(8, 8), (8, 16), (8, 50), (16, 40), (64, 64)]),
)
def test_every_target_once_an_epoch_and_no_crossing(lengths: list[int], sizes: tuple[int, int]) -> None:
    context, budget = sizes
    split = make_split(lengths)
    if max(lengths) < 2:
        with pytest.raises(ShardError, match="two tokens"):
            make_stream(split, budget, context)
        return
    stream = make_stream(split, budget, context)
    owner = np.repeat(np.arange(len(lengths)), lengths)
    bins_a_batch = max(1, budget // (2 * context))
    # The smallest number of batches that holds a whole number of pools.
    batches = stream._pool.bins // np.gcd(stream._pool.bins, bins_a_batch)
    seen = np.zeros(len(owner), int)
    for step in range(batches):
        batch = stream.batch(step)
        assert len(batch.tokens) == budget
        end = 0
        for size in batch.segments:
            start, end = end, end + size
            tokens, targets = batch.tokens[start:end].numpy(), batch.targets[start:end].numpy()
            if (targets == IGNORED).any():
                # Padding: behind all windows, and in no segment longer than they are.
                assert (batch.targets[start:].numpy() == IGNORED).all()
                assert size <= max(batch.segments[0], context)
                continue
            assert size <= context
            assert (np.diff(tokens) == 1).all()
            assert (targets == tokens + 1).all()
            assert len(set(owner[tokens]) | set(owner[targets])) == 1
            seen[targets] += 1
    firsts = split.first_token
    assert (seen[firsts] == 0).all()
    (times,) = set(np.delete(seen, firsts).tolist())
    assert times >= 1


def test_batches_are_a_function_of_the_step_alone() -> None:
    split = make_split(hospital_lengths(30))
    forwards, backwards = (make_stream(split, 1024, 256) for _ in range(2))
    steps = range(0, 60, 7)
    first = {step: forwards.batch(step) for step in steps}
    for step in reversed(steps):
        again = backwards.batch(step)
        assert again.segments == first[step].segments
        assert (again.tokens == first[step].tokens).all()
    other = make_stream(split, 1024, 256, seed=1).batch(0)
    assert other.segments != first[0].segments or (other.tokens != first[0].tokens).any()


def test_the_union_does_not_depend_on_the_order_of_sites() -> None:
    a, b = make_split([30, 5, 80]), make_split([60, 20], first_id=1000)
    one = BatchStream([("a", a), ("b", b)], 128, 32, "ethos", 0, "union")
    other = BatchStream([("b", b), ("a", a)], 128, 32, "ethos", 0, "union")
    assert one.unique_tokens == 30 + 5 + 80 + 60 + 20 - 5
    tokens = {int(token) for step in range(4) for token in one.batch(step).tokens}
    assert min(tokens - {0}) < 1000 < max(tokens)
    for step in range(4):
        assert (one.batch(step).tokens == other.batch(step).tokens).all()


def test_positions_are_those_of_the_window() -> None:
    split = make_split([9, 5])
    batch = BatchStream([("a", split)], 16, 8, "fused", 0, "a").batch(0)
    start = np.cumsum((0, *batch.segments))[:-1]
    assert (batch.positions[start] == 0).all()
    # One minute between tokens: 1 + log2(1 + 1 / 60) a token.
    assert batch.positions[1].item() == pytest.approx(1 + np.log2(1 + 1 / 60))


@pytest.mark.parametrize(
    ("patients", "budget", "context", "least"),
    [
        (2000, 8192, 2048, 0.99),
        (2000, 2048, 2048, 0.99),
        (2000, 8192, 512, 0.99),
        (200, 8192, 2048, 0.98),
        (16, 2048, 512, 0.97),
        (16, 8192, 2048, 0.97),
    ],
)
def test_fill_on_hospital_lengths(patients: int, budget: int, context: int, least: float) -> None:
    fills = [
        make_stream(make_split(hospital_lengths(patients, seed)), budget, context).fill for seed in range(3)
    ]
    assert np.mean(fills) >= least


def test_fill_is_what_the_batches_hold() -> None:
    stream = make_stream(make_split(hospital_lengths(16)), 2048, 512)
    batches = [stream.batch(step) for step in range(stream._pool.bins // 2)]
    held = np.mean([(batch.targets != IGNORED).float().mean() for batch in batches])
    assert held == pytest.approx(stream.fill, abs=0.005)


def test_a_small_shard_rarely_shows_one_window_twice_in_a_batch() -> None:
    stream = make_stream(make_split(hospital_lengths(16)), 2048, 512)
    repeated = 0
    for step in range(50):
        batch = stream.batch(step)
        targets = batch.targets[batch.targets != IGNORED]
        repeated += len(targets) - len(targets.unique())
    assert repeated / (50 * 2048) < 0.1
