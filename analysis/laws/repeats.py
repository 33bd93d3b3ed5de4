"""What repeats are worth (Muennighoff et al. 2023, arXiv 2305.16264)."""

import numpy as np

from analysis.arrays import Array

NO_DECAY = 1e9
"""R at which a repeat is worth as much as new tokens; at its inverse nothing."""

_FAR = np.log(NO_DECAY)
# Log of more repeats than any run has: a search may try ratios that a float cannot hold.
_MOST_REPEATS = 300.0


def bounded(log_decay: Array) -> Array:
    """Log R, no further out than it makes a difference; a search may try what a float cannot hold."""
    return log_decay.clip(-_FAR, _FAR)


def log_worth(log_ratio: Array, log_decay: Array) -> tuple[Array, Array, Array]:
    """Log of 1 + R (1 - exp(-r / R)) at r = exp(log_ratio) - 1, with its slopes in log_ratio and log R."""
    decay = np.exp(bounded(log_decay))
    repeats = np.expm1(np.minimum(log_ratio, _MOST_REPEATS))
    last = np.exp(-repeats / decay)
    worth = -decay * np.expm1(-repeats / decay)
    by_decay = np.where(np.abs(log_decay) < _FAR, worth - repeats * last, 0.0)
    return np.log1p(worth), (1 + repeats) * last / (1 + worth), by_decay / (1 + worth)
