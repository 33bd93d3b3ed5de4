"""Rounds of clipped averaging, and the same by a loop over numbers."""

import math

import numpy as np

from strategies.clipped_mean import ClippedMean
from strategies.guarded import Guard
from tests.strategies.replies import FINGERPRINT
from wardlaw.privacy.client_level import ClientLevel
from wardlaw.privacy.releases import Releases

SHARDS = (50_000, 3_000, 2_000, 1_000, 500)
SITES = ("ash", "birch", "cedar", "dogwood", "elm")
QUIET = 1e-9


def start():
    generator = np.random.default_rng(1)
    return {
        "weights": generator.standard_normal((4, 3)).astype(np.float32),
        "count": np.full(2, 7.0, np.float32),
    }


def site_models(model, *, spread=(0.01, 0.1, 1.0, 10.0, 0.0)):
    """Updates from far below the norm to far above it, and one of zeros."""
    generator = np.random.default_rng(2)
    return {
        site: (
            {
                name: (array + size * generator.standard_normal(array.shape)).astype(np.float32)
                for name, array in model.items()
            },
            examples,
        )
        for site, size, examples in zip(SITES, spread, SHARDS, strict=True)
    }


def clipped_mean(folder, *, sites=5, noise=QUIET, cap=1, norm=1.0, eta=1.0, limit=0.0, quorum=1, delta=1e-3):
    privacy = ClientLevel(sites, noise, delta, weight_cap=cap, epsilon_limit=limit)
    guard = Guard(FINGERPRINT, "tokens", quorum=quorum)
    releases = Releases(folder, FINGERPRINT)
    return ClippedMean(guard, privacy, releases, clip_norm=norm, server_learning_rate=eta)


def loop_mean(model, replies, *, sites, cap, norm):
    """The noiseless mean update by arithmetic on Python's floats."""
    total = {name: [0.0] * array.size for name, array in model.items()}
    for arrays, examples in replies.values():
        update = {
            name: [
                float(after) - float(before)
                for after, before in zip(arrays[name].flat, old.flat, strict=True)
            ]
            for name, old in model.items()
        }
        length = math.sqrt(sum(number**2 for numbers in update.values() for number in numbers))
        factor = min(1.0, norm / length) if length else 1.0
        for name, numbers in update.items():
            for place, number in enumerate(numbers):
                total[name][place] += min(examples, cap) / cap * factor * number
    return {name: np.array(numbers) / sites for name, numbers in total.items()}
