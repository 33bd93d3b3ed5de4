"""Seeds derived by name, so that no random stream depends on another's use.

A stream is named by what it is for, e.g. ``("batches", "site-03", epoch)``. The
same name under the same run seed is the same stream in every runtime, process
and order of calls; two names are independent streams.
"""

import hashlib
import json

import numpy as np


def derive_seed(seed: int, *name: str | int) -> int:
    """Seed of the stream ``name`` under the run's ``seed``: an integer in [0, 2**63).

    Examples
    --------
    >>> derive_seed(0, "batches", "a", 1) == derive_seed(0, "batches", "a", 1)
    True
    >>> derive_seed(0, "batches", "a", 1) == derive_seed(0, "batches", "a", 2)
    False
    """
    digest = hashlib.sha256(json.dumps([seed, *name]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, *name: str | int) -> np.random.Generator:
    """NumPy generator of the stream ``name`` under the run's ``seed``."""
    return np.random.Generator(np.random.PCG64(derive_seed(seed, *name)))
