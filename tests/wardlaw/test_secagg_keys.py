"""Two sites agree on a mask that nobody else has, and that is another one in every session."""

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.supercore.primitives.asymmetric import public_key_to_bytes

from wardlaw.secagg.keys import (
    adds,
    commitment,
    is_public_key,
    new_private_key,
    pair_mask,
    public_key,
    self_mask,
    shared_key,
)

ONE, OTHER, THIRD = (new_private_key() for _ in range(3))


def test_both_sites_have_the_same_mask():
    mask = pair_mask(ONE, public_key(OTHER), "s", 1000)
    assert np.array_equal(mask, pair_mask(OTHER, public_key(ONE), "s", 1000))
    assert mask.dtype == np.uint32
    for stranger in (
        pair_mask(ONE, public_key(THIRD), "s", 1000),
        pair_mask(ONE, public_key(OTHER), "t", 1000),
        self_mask(ONE[:32], "s", 1000),
    ):
        assert (mask != stranger).mean() > 0.99


def test_masks_are_spread_over_all_words():
    """Uniform to the eye of a chi-squared over the highest byte: 255 degrees of freedom, +- 6 sigma."""
    mask = self_mask(bytes(range(32)), "s", 1 << 18)
    counts = np.bincount(mask >> np.uint32(24), minlength=256)
    expected = mask.size / 256
    chi_squared = np.square(counts - expected).sum() / expected
    assert abs(chi_squared - 255) < 6 * np.sqrt(2 * 255)


def test_a_longer_mask_begins_with_the_shorter():
    assert np.array_equal(self_mask(bytes(32), "s", 7), self_mask(bytes(32), "s", 100)[:7])


def test_exactly_one_of_two_sites_adds():
    assert adds("ash", "oak") != adds("oak", "ash")


def test_a_commitment_is_to_seed_and_session():
    assert (
        len({commitment(bytes(32), "s"), commitment(bytes(32), "t"), commitment(bytes([1] * 32), "s")}) == 3
    )


def test_keys_of_another_curve_are_refused():
    foreign = public_key_to_bytes(ec.generate_private_key(ec.SECP256R1()).public_key())
    with pytest.raises(ValueError, match="SECP384R1"):
        shared_key(ONE, foreign)
    assert is_public_key(public_key(ONE))
    assert not any(map(is_public_key, (foreign, b"", b"ONE", public_key(ONE)[:-40])))
    with pytest.raises(ValueError, match="private_value"):
        public_key(bytes(48))
