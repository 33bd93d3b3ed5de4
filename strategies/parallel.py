"""Work on a model's arrays in a few threads.

NumPy lets other threads run while it computes, and waits for none of them: on a busy
machine a thread pool slows down by its share, where OpenMP's teams spin.
"""

import functools
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

WORTH_IT = 1 << 20
"""Numbers in a model from which on threads save more than they cost."""

MOST_THREADS = 4
"""Memory, not arithmetic, is the limit beyond."""

Result = TypeVar("Result")


def map_arrays(work: Callable[[str], Result], names: Iterable[str], size: int) -> list[Result]:
    """Results of ``work`` for each array of a model, in the order of the names.

    Parameters
    ----------
    work : callable
        Takes an array's name; touches no other array.
    names : iterable of str
    size : int
        Numbers in the whole model.
    """
    if size < WORTH_IT:
        return [work(name) for name in names]
    return list(_pool().map(work, names))


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1), thread_name_prefix="strategies")
