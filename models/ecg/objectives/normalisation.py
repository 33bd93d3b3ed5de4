"""Normalisation of a record's features over its own time."""

import torch
from torch import Tensor

EPSILON = 1e-5


def instance_norm(features: Tensor, own: Tensor) -> Tensor:
    """Zero mean and unit variance of each feature over the patches of each record.

    Ulyanov et al., arXiv 1607.08022. A feature that is the same in all of a record's patches becomes 0:
    no target can be met by a feature that does not change.

    Parameters
    ----------
    features : Tensor, (B, P, D)
        Of any dtype.
    own : Tensor, (B, P) bool
        Patches that count; the others get the same shift and scale.

    Returns
    -------
    Tensor, (B, P, D) float32
    """
    features, kept = features.float(), own[..., None]
    patches = own.sum(1).clamp(min=1)[:, None, None]
    centred = features - torch.where(kept, features, 0).sum(1, keepdim=True) / patches
    variance = torch.where(kept, centred.square(), 0).sum(1, keepdim=True) / patches
    return centred * (variance + EPSILON).rsqrt()
