"""Loss on a split's records: exact sums, from which any mean or interval follows."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from client.ecg.crops import collate, even_starts
from client.ecg.shard import SignalShard
from client.evaluation.loss_sums import LossSums
from models.ecg.batch import SignalBatch
from models.ecg.model import EcgModel
from wardlaw.seeds import generator

SCORED_CROPS = 32
"""Crops of one forward pass at most; batches are of nearly equal size, since a coupled objective
finds its negatives in them."""


def scored_batches(
    shard: SignalShard, split: str, context: int
) -> Iterator[tuple[SignalBatch, NDArray[np.int64]]]:
    """All crops of a split (``client.ecg.crops``), and the record of each.

    Masks and negatives are drawn from seeds that depend on the split and a crop's number alone.
    """
    records = shard.split(split)
    starts = [even_starts(int(samples), context) for samples in records.samples]
    owners = np.repeat(np.arange(len(starts)), [len(own) for own in starts])
    if not len(owners):
        return
    seeds = generator(0, "scored crops", split).integers(0, 2**62, len(owners))
    start = np.concatenate(starts)
    for rows in np.array_split(np.arange(len(owners)), -(-len(owners) // SCORED_CROPS)):
        crops = [(shard, records, int(owner)) for owner in owners[rows]]
        yield collate(crops, start[rows], seeds[rows], context), owners[rows]


@torch.no_grad()
def record_losses(
    model: EcgModel, shard: SignalShard, split: str, context: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Summed nats and number of targets of each record of a split, two (records,) arrays."""
    count = len(shard.split(split).samples)
    nats, targets = np.zeros(count), np.zeros(count)
    device = next(model.parameters()).device
    model.eval()
    for batch, owners in scored_batches(shard, split, context):
        losses = model.losses(batch.to(device))
        np.add.at(nats, owners, losses.nats.double().cpu().numpy())
        np.add.at(targets, owners, losses.targets.double().cpu().numpy())
    return nats, targets


def evaluate_loss(model: EcgModel, shard: SignalShard, split: str, context: int) -> LossSums:
    """Loss of every target of a split."""
    nats, targets = record_losses(model, shard, split, context)
    return LossSums(
        nats=float(nats.sum()),
        tokens=int(targets.sum()),
        events=len(nats),
        patients=shard.manifest.patients(split),
    )
