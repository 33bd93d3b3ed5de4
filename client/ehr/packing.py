"""Windows of patients' timelines, and their places in bins of a fixed number of tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client.ehr.shard import TokenSplit

Integers = NDArray[np.int64]

POOLED_BINS = 64
"""Bins that a pool should have at least: fewer leave more of a small shard's last bins empty."""


@dataclass(frozen=True, eq=False)
class Windows:
    """Pieces of timelines, each with a target at every token.

    Attributes
    ----------
    split, patient : (n,) arrays
        Index of the split, and of the patient in it.
    first, length : (n,) arrays
        First input token in the split, and number of inputs; the targets are one token further on.
    """

    split: Integers
    patient: Integers
    first: Integers
    length: Integers


def cut_windows(splits: Sequence[TokenSplit], context: int) -> Windows:
    """Cut each timeline from its start into windows of ``context`` inputs and one of the rest.

    A patient's last token has nothing to predict and is no input, so n tokens give n - 1 inputs,
    each with its target: a window's last input predicts the first token of the patient's next window.
    """
    return _join([_cut(index, split, context) for index, split in enumerate(splits)])


def _cut(index: int, split: TokenSplit, context: int) -> Windows:
    inputs = np.maximum(np.asarray(split.lengths, np.int64) - 1, 0)
    pieces = -(-inputs // context)
    patient = np.repeat(np.arange(len(inputs)), pieces)
    before = context * (np.arange(len(patient)) - np.repeat(np.cumsum(pieces) - pieces, pieces))
    return Windows(
        split=np.full(len(patient), index),
        patient=patient,
        first=np.asarray(split.first_token, np.int64)[patient] + before,
        length=np.minimum(inputs[patient] - before, context),
    )


def _join(parts: Sequence[Windows]) -> Windows:
    fields = ("split", "patient", "first", "length")
    return Windows(*(np.concatenate([getattr(part, name) for part in parts]) for name in fields))


def best_fit(lengths: Sequence[int], capacity: int) -> tuple[list[int], int]:
    """Put items one by one into the bin that they fill best, or into a new one.

    In decreasing order of length this is best-fit decreasing (Johnson et al., SIAM J. Comput. 3,
    1974), as used for packing sequences by Ding et al. (arXiv 2404.10830, section 3). An integer
    whose bit g says that some open bin has a gap of g finds the tightest gap in a few operations.

    Parameters
    ----------
    lengths : sequence of int
        Items in the order of placing, each at most ``capacity``.
    capacity : int
        Size of a bin.

    Returns
    -------
    tuple of list of int and int
        Bin of each item, and number of bins.

    Examples
    --------
    >>> best_fit([6, 5, 4, 3], 10)
    ([0, 1, 0, 1], 2)
    """
    gaps = 0
    open_bins: list[list[int]] = [[] for _ in range(capacity + 1)]
    places: list[int] = []
    bins = 0
    for length in lengths:
        if fitting := gaps >> length:
            gap = length + (fitting & -fitting).bit_length() - 1
            place = open_bins[gap].pop()
            if not open_bins[gap]:
                gaps ^= 1 << gap
        else:
            gap, place = capacity, bins
            bins += 1
        places.append(place)
        if rest := gap - length:
            open_bins[rest].append(place)
            gaps |= 1 << rest
    return places, bins


@dataclass(frozen=True, eq=False)
class Pool:
    """Places of a whole number of epochs of windows in bins; a function of their lengths alone.

    Because no random number decides it, every pool of a shard has the same number of bins, and
    the bin at any place of an endless stream of pools is known without going through the stream.

    Attributes
    ----------
    epochs, bins : int
        Passes over the windows in a pool, and its bins.
    slots : (epochs * n,) array
        Slots of bin 0, of bin 1, ...; slot i is the i-th to be filled.
    starts : (bins + 1,) array
        First of each bin's entries in ``slots``.
    """

    epochs: int
    bins: int
    slots: Integers
    starts: Integers


def pooled_epochs(lengths: Integers, capacity: int) -> int:
    """Epochs that fill ``POOLED_BINS`` bins, at least one."""
    return max(1, -(-POOLED_BINS * capacity // int(lengths.sum())))


def plan_pool(lengths: Integers, capacity: int, epochs: int) -> Pool:
    """Pack epochs of windows, each epoch in decreasing order, into bins of ``capacity``.

    Epochs follow each other over the same open bins: a patient's copies then seldom share a bin,
    as they would if all epochs were sorted together.
    """
    decreasing = np.sort(lengths)[::-1].tolist()
    places, bins = best_fit(decreasing * epochs, capacity)
    counts = np.bincount(places, minlength=bins)
    return Pool(epochs, bins, np.argsort(places, kind="stable"), np.concatenate([[0], np.cumsum(counts)]))


def draw_windows(lengths: Integers, epochs: int, random: np.random.Generator) -> Integers:
    """Window of each slot of a pool: windows of one length change places at random in each epoch."""
    return np.concatenate([np.lexsort((random.random(len(lengths)), -lengths)) for _ in range(epochs)])
