import math

import numpy as np
import pytest
import torch
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hmac import HMAC
from scipy import stats

from client.privacy.noise import add_gaussian, gaussian, generator_of, uniforms

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
CHUNK = 1 << 16


def words_of(key: bytes, names: str, count: int) -> list[int]:
    """Words of a stream, block by block: AES of a counter under an HMAC of the names."""
    mac = HMAC(key, hashes.SHA256())
    mac.update(names.encode())
    cipher = Cipher(algorithms.AES256(mac.finalize()), modes.ECB()).encryptor()
    blocks = b"".join(cipher.update(block.to_bytes(16, "big")) for block in range(-(-count // 2)))
    return [int.from_bytes(blocks[8 * word : 8 * word + 8], "little") for word in range(count)]


@pytest.mark.parametrize("count", [1, 2, 7, 100])
def test_deviates_equal_box_and_mullers_of_aes_in_counter_mode(count: int) -> None:
    words = words_of(KEY, '["a"]', count + count % 2)
    half = len(words) // 2
    radii = [math.sqrt(-2 * math.log(((word >> 11) + 1) / 2**53)) for word in words[:half]]
    angles = [2 * math.pi * (word >> 11) / 2**53 for word in words[half:]]
    expected = [r * math.cos(w) for r, w in zip(radii, angles, strict=True)]
    expected += [r * math.sin(w) for r, w in zip(radii, angles, strict=True)]
    found = gaussian(KEY, "a", (count,), 1.5)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), 1.5 * np.array(expected[:count]), rtol=3e-7, atol=1e-12)


def test_uniforms_equal_the_upper_bits_of_aes_in_counter_mode() -> None:
    expected = [(word >> 11) / 2**53 for word in words_of(KEY, '["draw", 3]', 9)]
    assert uniforms(KEY, "draw", 3, count=9).tolist() == expected
    assert uniforms(KEY, "draw", 3, count=0).shape == (0,)


def test_distribution_is_normal_to_its_tails() -> None:
    deviates = gaussian(KEY, "many", (4_000_000,), 1.0).numpy().astype(np.float64)
    assert stats.kstest(deviates[:1_000_000], "norm").pvalue > 0.001
    # Standard errors of the first four moments are 1, sqrt 2, sqrt 15 and sqrt 96 over sqrt n.
    for power, (moment, variance) in enumerate([(0, 1), (1, 2), (0, 15), (3, 96)], start=1):
        assert (deviates**power).mean() == pytest.approx(moment, abs=4 * math.sqrt(variance / 4e6))
    for border in (3.0, 4.0, 4.5):
        share = 2 * stats.norm.sf(border)
        assert (abs(deviates) > border).mean() == pytest.approx(share, abs=4 * math.sqrt(share / 4e6))


def test_deviates_beyond_five_exist() -> None:
    # Expected: 9 of 16 million; a generator of 16-bit uniforms would end at 4.7.
    assert max(gaussian(KEY, name, (4_000_000,), 1.0).abs().max() for name in "abcd") > 5.0


def test_names_keys_and_chunks_are_independent_streams() -> None:
    size = 2 * CHUNK
    streams = {
        "one": gaussian(KEY, "one", (size,), 1.0),
        "two": gaussian(KEY, "two", (size,), 1.0),
        "other key": gaussian(OTHER, "one", (size,), 1.0),
    }
    parts = [part.numpy() for stream in streams.values() for part in stream.split(CHUNK // 2)]
    correlations = np.corrcoef(parts)[np.triu_indices(len(parts), 1)]
    # Box and Muller's pairs are uncorrelated; their squares are, too, if radius and angle are right.
    squares = np.corrcoef(np.square(parts))[np.triu_indices(len(parts), 1)]
    for found in (correlations, squares):
        assert abs(found).max() < 4.5 / math.sqrt(CHUNK / 2)


def test_lists_of_names_are_told_apart() -> None:
    lists = [("a", 1, 2), ("a", 12), ("a1", 2), ("a", "12"), ("a", "1", 2), ('a", 1', 2)]
    assert len({uniforms(KEY, *names, count=1)[0] for names in lists}) == len(lists)
    assert len({generator_of(KEY, *names).random() for names in lists}) == len(lists)


def test_the_same_key_gives_the_same_bits() -> None:
    shape = (3, CHUNK // 2 + 1)
    assert torch.equal(gaussian(KEY, "a", shape, 0.3), gaussian(KEY, "a", shape, 0.3))
    assert generator_of(KEY, "a", 1).random() == generator_of(KEY, "a", 1).random()
    assert generator_of(KEY, "a").random() != generator_of(OTHER, "a").random()


@pytest.mark.parametrize("key", [b"", bytes(16), bytes(33)])
def test_keys_of_other_lengths_are_refused(key: bytes) -> None:
    for use in (
        lambda: gaussian(key, "a", (1,), 1.0),
        lambda: generator_of(key),
        lambda: uniforms(key, count=1),
    ):
        with pytest.raises(ValueError, match="32 bytes"):
            use()


def test_noise_is_added_in_float64_and_rounded_once() -> None:
    # In float32 the noise would first lose what the sum, after cancelling, still shows.
    noise = torch.zeros(1000, dtype=torch.float64)
    add_gaussian(noise, KEY, "a", 1.0)
    values = -noise.float()
    expected = (values.double() + noise).float()
    add_gaussian(values, KEY, "a", 1.0)
    assert torch.equal(values, expected)
    assert (values != 0).float().mean() > 0.9


def test_strided_tensors_get_the_noise_of_their_elements_in_order() -> None:
    values = torch.arange(6.0).reshape(2, 3).t()
    expected = values.contiguous()
    add_gaussian(expected, KEY, "a", 1.0)
    add_gaussian(values, KEY, "a", 1.0)
    assert not values.is_contiguous()
    assert torch.equal(values, expected)


def test_no_elements_and_no_dimensions() -> None:
    assert gaussian(KEY, "a", (0, 3), 1.0).shape == (0, 3)
    assert gaussian(KEY, "a", (), 1.0).item() == gaussian(KEY, "a", (1,), 1.0).item()
