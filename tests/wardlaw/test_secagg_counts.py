"""Counts behind a masked update."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wardlaw.secagg.counts import Counts

SITES = 6
BILLIONS = st.integers(0, (1 << 31) * (1 << 16) // SITES - (1 << 16))


@given(st.lists(st.tuples(st.integers(1, (1 << 31) // SITES - 1), BILLIONS), min_size=1, max_size=SITES))
def test_sums_of_words_are_sums_of_counts(pairs):
    total = np.zeros(3, np.uint32)
    for pair in pairs:
        total += Counts(*pair).words()
    assert Counts.of(total) == Counts(sum(weight for weight, _ in pairs), sum(each for _, each in pairs))
