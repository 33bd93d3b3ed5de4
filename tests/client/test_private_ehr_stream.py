import numpy as np
import pytest
import torch
from scipy import stats

from client.ehr.packing import cut_windows
from client.ehr.private_stream import PatientStream
from client.ehr.shard import TokenSplit
from wardlaw.errors import ConfigError, ShardError

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
CONTEXT = 8


def make_split(lengths: list[int], first: int = 0) -> TokenSplit:
    """Patients whose tokens are all different, so that a token tells where it is from."""
    sizes = np.array(lengths, np.int64)
    total = int(sizes.sum())
    return TokenSplit(
        tokens=np.arange(first, first + total, dtype=np.uint32),
        minutes=np.arange(total, dtype=np.int32) * 60,
        starts_event=np.ones(total, np.uint8),
        subject_ids=np.arange(len(sizes)),
        first_token=np.cumsum(sizes) - sizes,
        lengths=sizes,
        events=sizes,
        origin=np.zeros(len(sizes), "datetime64[us]"),
    )


LENGTHS = [1, 2, 9, 10, 100, 33, 0, 8]
OWNERS = np.repeat(np.arange(len(LENGTHS)), LENGTHS)


def make_stream(
    splits, expected: float = 4, windows: int = 3, key: bytes = KEY, scheme="ethos"
) -> PatientStream:
    return PatientStream(splits, expected, windows, CONTEXT, scheme, key, "replica")


def test_what_a_batch_holds() -> None:
    split = make_split(LENGTHS)
    stream = make_stream([("a", split)], scheme="fused")
    windows = cut_windows([split], CONTEXT)
    allowed = set(zip(windows.first.tolist(), windows.length.tolist(), strict=True))
    for step in range(40):
        batches = stream.draw(step)
        owners = []
        for batch in batches:
            assert batch.token_count == len(batch.tokens) == sum(batch.segments)
            assert torch.equal(batch.targets, batch.tokens + 1)
            (owner,) = {*OWNERS[batch.tokens.numpy()], *OWNERS[batch.targets.numpy()]}
            owners.append(owner)
            firsts = (np.cumsum(batch.segments) - batch.segments).tolist()
            pieces = [(int(batch.tokens[f]), size) for f, size in zip(firsts, batch.segments, strict=True)]
            assert set(pieces) <= allowed
            assert len(set(pieces)) == len(pieces) == min(3, int((windows.patient == owner).sum()))
            assert sorted(batch.segments, reverse=True) == list(batch.segments)
            # An hour between tokens counts as one more token (client.ehr.positions).
            expected = np.concatenate([2.0 * np.arange(size) for size in batch.segments])
            assert batch.positions.tolist() == expected.tolist()
        assert owners == sorted(set(owners))


def test_patients_without_a_target_count_and_add_nothing() -> None:
    stream = make_stream([("a", make_split(LENGTHS))], expected=8)
    assert (stream.patients, stream.sampling_rate, stream.name) == (8, 1.0, "replica")
    assert stream.unique_tokens == sum(max(length - 1, 0) for length in LENGTHS)
    assert [OWNERS[batch.tokens[0]] for batch in stream.draw(0)] == [1, 2, 3, 4, 5, 7]
    assert make_stream([("a", make_split(LENGTHS))]).sampling_rate == 0.5


def test_each_patient_takes_part_with_its_own_probability() -> None:
    stream, steps = make_stream([("a", make_split([2, 500, 9]))], expected=0.9, windows=1), 3000
    counts = np.array([len(stream.draw(step)) for step in range(steps)])
    wanted = steps * stats.binom.pmf(np.arange(4), 3, 0.3)
    assert stats.chisquare(np.bincount(counts, minlength=4), wanted).pvalue > 0.01


def test_windows_of_a_long_record_are_chosen_at_random() -> None:
    # 101 tokens make 12 full windows and one of 4; each pair of windows is as likely as any other.
    stream, steps = make_stream([("a", make_split([101]))], expected=1, windows=2), 3000
    pairs: dict[tuple[int, ...], int] = {}
    for step in range(steps):
        (batch,) = stream.draw(step)
        firsts = np.cumsum(batch.segments) - batch.segments
        pair = tuple(sorted((batch.tokens[firsts] // CONTEXT).tolist()))
        pairs[pair] = pairs.get(pair, 0) + 1
    assert len(pairs) == 78
    assert stats.chisquare(list(pairs.values())).pvalue > 0.01


def test_a_step_is_a_function_of_its_number_and_the_key() -> None:
    def tokens(stream: PatientStream, step: int) -> list[list[int]]:
        return [batch.tokens.tolist() for batch in stream.draw(step)]

    splits = [("a", make_split(LENGTHS)), ("b", make_split([50, 60, 70], first=1000))]
    one, other = make_stream(splits), make_stream(splits[::-1])
    forwards = [tokens(one, step) for step in range(6)]
    assert [tokens(other, step) for step in (5, 3, 1)] == forwards[::-2]
    assert forwards != [tokens(make_stream(splits, key=OTHER), step) for step in range(6)]
    assert len({str(step) for step in forwards}) == 6


def test_a_subject_of_two_sites_is_two_patients() -> None:
    splits = [("a", make_split([5, 5])), ("b", make_split([5, 5], first=100))]
    stream = make_stream(splits, expected=4)
    assert stream.patients == 4
    assert [int(batch.tokens[0]) for batch in stream.draw(0)] == [0, 5, 100, 105]


def test_a_subject_twice_in_a_site_is_refused() -> None:
    twice = make_split([5, 5])
    twice.subject_ids[:] = 7
    for splits in ([("a", twice)], [("a", make_split([5])), ("a", make_split([6]))]):
        with pytest.raises(ShardError, match="count twice"):
            make_stream(splits, expected=1)


def test_more_patients_than_there_are_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"privacy\.patients = 9, but the train split has 8 patients"):
        make_stream([("a", make_split(LENGTHS))], expected=9)


@pytest.mark.parametrize("lengths", [[], [1, 0, 1]])
def test_nobody_to_learn_from_is_refused(lengths: list[int]) -> None:
    with pytest.raises(ShardError, match="two tokens"):
        make_stream([("a", make_split(lengths))], expected=0)
