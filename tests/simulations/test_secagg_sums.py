"""The unmasked sum is the plain sum, whoever is lost; below the threshold there is one clear error."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulations.secagg_sites import SITES, Loop
from wardlaw import seeds
from wardlaw.errors import RoundError

STAGES = ("set-up", "share", "mask", "agree", "unmask")
LATE = ("agree", "unmask")
"""Stages after which a site's update is in the sum, though the site is lost."""


def levels_of(sites, size=37):
    generator = seeds.generator(5, "secagg levels")
    return {site: generator.integers(0, 1 << 32, size, dtype=np.uint32) for site in sites}


def plain_sum(levels, sites):
    """In Python's unbounded integers."""
    return [sum(int(levels[site][place]) for site in sites) % (1 << 32) for place in range(37)]


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("count", [0, 1, 2])
def test_the_sum_of_six_with_some_lost_at_a_stage(stage, count):
    levels = levels_of(SITES)
    for lost in list(itertools.combinations(SITES, count))[::4]:
        loop = Loop(levels, lost={stage: lost})
        total, survivors = loop.run()
        expected = [site for site in SITES if stage in LATE or site not in lost]
        assert survivors == expected
        assert total.tolist() == plain_sum(levels, expected)


def test_one_lost_at_each_of_two_stages():
    levels = levels_of(SITES)
    total, survivors = Loop(levels, lost={"share": ["ash"], "mask": ["oak"]}).run()
    assert survivors == ["birch", "cedar", "elm", "fir"]
    assert total.tolist() == plain_sum(levels, survivors)


@pytest.mark.parametrize("stage", STAGES)
def test_three_lost_of_six_are_too_many(stage):
    with pytest.raises(RoundError, match=r"fewer than (secagg\.threshold = 3|4)"):
        Loop(levels_of(SITES), lost={stage: ["ash", "elm", "oak"]}).run()


@settings(max_examples=8, deadline=None)
@given(st.integers(6, 14), st.integers(4, 6), st.data())
def test_sparse_graphs_give_the_plain_sum(count, degree, data):
    sites = tuple(f"site-{number:02d}" for number in range(count))
    levels = levels_of(sites)
    lost = data.draw(st.sampled_from(sites))
    stage = data.draw(st.sampled_from(STAGES))
    threshold = degree // 2 + 1
    total, survivors = Loop(levels, threshold, degree, {stage: [lost]}).run(
        data.draw(st.text("ab", min_size=3))
    )
    assert set(survivors) == set(sites) - ({lost} if stage not in LATE else set())
    assert total.tolist() == plain_sum(levels, survivors)


def test_what_the_server_is_sent_looks_like_coins():
    """The same update of zeros from all: no masked one is like another, and bits are fair."""
    size = 20_000
    loop = Loop({site: np.zeros(size, np.uint32) for site in SITES})
    total, _ = loop.run()
    assert not total.any()
    bits = np.array([np.unpackbits(masked.view(np.uint8)) for masked in loop.seen], dtype=np.float64)
    spread = 0.5 / np.sqrt(bits.shape[1])
    assert (np.abs(bits.mean(axis=1) - 0.5) < 6 * spread).all()
    correlations = np.corrcoef(bits)[np.triu_indices(len(SITES), 1)]
    assert (np.abs(correlations) < 6 / np.sqrt(bits.shape[1])).all()


def test_two_sessions_share_no_mask():
    levels = levels_of(SITES)
    first, second = Loop(levels), Loop(levels)
    first.run("one")
    second.run("two")
    assert all((one != two).mean() > 0.9 for one, two in zip(first.seen, second.seen, strict=True))


def test_a_wrong_share_is_found_out(monkeypatch):
    from client.secagg import stages

    honest = stages.shares_for_unmasking

    def forged(kept, agreements):
        shares = honest(kept, agreements)
        if kept.site != "oak":
            return shares
        return {name: share[:4] + bytes(len(share) - 4) for name, share in shares.items()}

    monkeypatch.setattr(stages, "shares_for_unmasking", forged)
    with pytest.raises(RoundError, match="do not fit what it announced"):
        Loop(levels_of(SITES), threshold=5).run()
