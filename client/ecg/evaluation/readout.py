"""What a model says of whole records: the mean over the crops by which a record is scored."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client.ecg.evaluation.cohort import Cohort, Part
from client.ecg.loss import scored_batches
from models.ecg.backbone import Backbone, over_patches
from models.ecg.batch import SignalBatch
from models.ecg.objectives.masking import whole_patches

Floats32 = NDArray[np.float32]
Reading = Callable[[SignalBatch], Tensor]
"""Crops to a vector each, (B, d)."""


@torch.no_grad()
def record_means(read: Reading, cohort: Cohort, context: int, device: torch.device) -> Floats32:
    """Mean of what is read of each record's crops.

    Parameters
    ----------
    read : callable
    cohort : Cohort
    context : int
        Samples of a crop.
    device : torch.device
        Where crops are read.

    Returns
    -------
    (n, d) array of float32
    """
    return np.concatenate(
        [_part_means(read, part, context, device) for part in cohort.parts if len(part.rows)]
    )


def patch_features(backbone: Backbone, batch: SignalBatch) -> tuple[Tensor, Tensor]:
    """Features of patches, (B, P, width) float32, and which patches are the record's own, (B, P)."""
    features = over_patches(backbone(batch.signals), backbone).float()
    return features, whole_patches(batch, backbone.patch)


def pooled_features(backbone: Backbone, batch: SignalBatch) -> Tensor:
    """Mean feature of each crop's own patches, (B, width): what the supervised head reads."""
    features, own = patch_features(backbone, batch)
    kept = own[..., None]
    return torch.where(kept, features, 0).sum(1) / kept.sum(1).clamp(min=1)


def crops(part: Part, context: int, device: torch.device) -> Iterator[tuple[SignalBatch, NDArray[np.int64]]]:
    """Crops of a part's records in batches, and each one's place in ``part.rows``."""
    place = np.full(len(part.records.samples), -1)
    place[part.rows] = np.arange(len(part.rows))
    for batch, owners in scored_batches(part.shard, part.split, context):
        mine = place[owners] >= 0
        if mine.any():
            chosen = torch.from_numpy(mine)
            kept = SignalBatch(
                batch.signals[chosen], batch.labels[chosen], batch.lengths[chosen], batch.seeds[chosen]
            )
            yield kept.to(device), place[owners[mine]]


def _part_means(read: Reading, part: Part, context: int, device: torch.device) -> Floats32:
    read_crops = [(read(batch).cpu().numpy(), owners) for batch, owners in crops(part, context, device)]
    values, owners = (np.concatenate(parts) for parts in zip(*read_crops, strict=True))
    sums = np.zeros((len(part.rows), values.shape[1]))
    np.add.at(sums, owners, values)
    return (sums / np.bincount(owners)[:, None]).astype(np.float32)
