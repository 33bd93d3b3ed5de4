"""Which patches of a crop the model does not see, and what it sees instead."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.ecg.batch import SignalBatch
from wardlaw.seeds import generator


def whole_patches(batch: SignalBatch, patch: int) -> Tensor:
    """Patches whose samples are all the record's own: (B, L / patch) bool.

    They come first in each row; patches that lie in the padding, wholly or in part, are never
    targets.
    """
    places = torch.arange(batch.signals.shape[1] // patch, device=batch.signals.device)
    return places < (batch.lengths // patch)[:, None]


def patches_of(signals: Tensor, patch: int) -> Tensor:
    """The samples of each patch: (B, L, leads) to (B, L / patch, patch, leads)."""
    batch, length, leads = signals.shape
    return signals.view(batch, length // patch, patch, leads)


def masked_count(patches: int, fraction: float) -> int:
    """Patches to mask out of ``patches``: the nearest number to the share that leaves both kinds.

    Examples
    --------
    >>> masked_count(32, 0.5), masked_count(3, 0.01), masked_count(1, 0.5)
    (16, 1, 0)
    """
    return min(max(round(fraction * patches), 1), patches - 1) if patches else 0


def span_mask(seed: int, patches: int, masked: int, span: int) -> npt.NDArray[np.bool_]:
    """A row of ``patches`` of which ``masked`` are True, in spans of ``span`` and a shorter last one.

    Spans and single visible patches are shuffled as wholes, so that the share is exact and every
    order of them is as likely as any other; spans may touch.
    """
    whole, rest = divmod(masked, span)
    spans = [span] * whole + [rest] * (rest > 0)
    visible = [0] * (patches - masked)
    row = generator(seed, "mask").permutation(np.array(spans + visible, dtype=np.int64))
    return np.repeat(row > 0, np.maximum(row, 1))


def draw_masks(batch: SignalBatch, patch: int, fraction: float, span: int) -> Tensor:
    """Masks of a batch's crops, each from the crop's own seed: (B, L / patch) bool.

    The share is of the patches that are wholly the record's own; no other is masked.
    """
    masks = np.zeros((len(batch.signals), batch.signals.shape[1] // patch), dtype=np.bool_)
    seeds, own = batch.seeds.tolist(), (batch.lengths // patch).tolist()
    for row, seed, patches in zip(masks, seeds, own, strict=True):
        row[:patches] = span_mask(seed, patches, masked_count(patches, fraction), span)
    return torch.from_numpy(masks).to(batch.signals.device)


def covered(signals: Tensor, mask: Tensor, value: Tensor) -> Tensor:
    """Signals (B, L, leads) whose masked patches hold ``value`` (leads,) at every sample.

    Masked samples are gone before the first layer, so no receptive field can reach them.
    """
    patch = signals.shape[1] // mask.shape[1]
    hidden = mask.repeat_interleave(patch, dim=1)[..., None]
    return torch.where(hidden, value, signals)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of (B, P, ...) over the patches where ``mask`` (B, P) is true: (...); 0 if none is."""
    weights = mask.view(*mask.shape, *(1,) * (values.dim() - 2))
    return torch.where(weights, values, 0).sum((0, 1)) / mask.sum().clamp(min=1)
