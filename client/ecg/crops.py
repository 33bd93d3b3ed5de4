"""Crops of records: which there are, and how they become a batch.

A model reads ``context`` samples at a time. In training a crop lies anywhere in its record; a
record that is scored is read as ceil(n / context) crops of equal distance, the first at its start
and the last at its end, so that every sample is read. A record shorter than ``context`` is one
crop that goes on with zeros; the crop knows its own length.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from client.ecg.shard import SignalShard, SignalSplit
from models.ecg.batch import LEADS, SignalBatch

Integers = NDArray[np.int64]

RAIL = 20.0
"""Robust standard deviations at which a scaled signal is cut: artefacts beyond it carry no more news."""


def slots_of(samples: Integers, context: int) -> Integers:
    """Record of each crop, ceil(samples / context) for each record in turn.

    Examples
    --------
    >>> slots_of(np.array([500, 1200]), 512)
    array([0, 1, 1, 1])
    """
    return np.repeat(np.arange(len(samples)), -(-np.asarray(samples, np.int64) // context))


def even_starts(samples: int, context: int) -> Integers:
    """Starts of the crops by which a record is scored.

    Examples
    --------
    >>> even_starts(1000, 512), even_starts(300, 512)
    (array([  0, 488]), array([0]))
    """
    count = -(-samples // context)
    return np.linspace(0, max(samples - context, 0), count).round().astype(np.int64)


def collate(
    crops: Sequence[tuple[SignalShard, SignalSplit, int]], starts: Integers, seeds: Integers, context: int
) -> SignalBatch:
    """Read crops, each scaled by its own site's center and scale.

    Parameters
    ----------
    crops : sequence of (SignalShard, SignalSplit, int)
        Shard, split and record of each.
    starts, seeds : ndarray of int64, (B,)
    context : int
        Samples of a crop.
    """
    signals = np.empty((len(crops), context, LEADS), np.float32)
    lengths = np.empty(len(crops), np.int64)
    for row, ((shard, split, record), start) in enumerate(zip(crops, starts, strict=True)):
        lengths[row] = min(context, int(split.samples[record]) - int(start))
        center, scale = shard.scaling
        signal = split.crop(int(record), int(start), context)
        np.subtract(signal, center, out=signals[row])
        signals[row] /= scale
        signals[row, lengths[row] :] = 0.0
    np.clip(signals, -RAIL, RAIL, out=signals)
    labels = np.stack([split.labels[record] for _, split, record in crops]).astype(np.float32)
    return SignalBatch(
        torch.from_numpy(signals),
        torch.from_numpy(labels),
        torch.from_numpy(lengths),
        torch.from_numpy(np.asarray(seeds, np.int64)),
    )
