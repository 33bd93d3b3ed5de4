"""Minutes between events: bursts of a few minutes, else a truncated log-logistic wait.

With F the log-logistic distribution function ``F(x) = 1 / (1 + (x / median)**-shape)``, the
whole minutes between two events are

    uniform on 1..4                        with probability ``burst``,
    1 + floor(X), X ~ F truncated at longest   otherwise,

so that no two events share a minute and every probability has a closed form.
"""

import numpy as np

from simulations.synthetic.process import Floats, Ints

BURST_MINUTES = 4


def sample_gaps(
    rng: np.random.Generator, burst: Floats, median: Floats, shape: Floats, longest: Floats
) -> Ints:
    """Minutes, one for each entry of the arguments, which have one shape."""
    waits = rng.random(burst.shape) * _distribution(longest, median, shape)
    minutes = 1 + np.floor(median * (waits / (1 - waits)) ** (1 / shape))
    # Rounding may carry the last minute over the border.
    minutes = np.minimum(minutes, np.ceil(longest))
    bursts = rng.integers(1, BURST_MINUTES + 1, burst.shape)
    return np.where(rng.random(burst.shape) < burst, bursts, minutes).astype(np.int64)


def gap_distribution(
    minutes: Floats, burst: Floats, median: Floats, shape: Floats, longest: Floats
) -> Floats:
    """Probability of at most this many whole minutes; arguments broadcast."""
    in_burst = np.clip(np.floor(minutes), 0, BURST_MINUTES) / BURST_MINUTES
    waited = np.clip(np.floor(minutes), 0, longest)
    return burst * in_burst + (1 - burst) * _distribution(waited, median, shape) / _distribution(
        longest, median, shape
    )


def _distribution(minutes: Floats, median: Floats, shape: Floats) -> Floats:
    scaled = (minutes / median) ** shape
    return np.asarray(scaled / (1 + scaled))
