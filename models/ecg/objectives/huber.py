"""Smooth L1 loss with beta = 1, as nats."""

from torch import Tensor
from torch.nn import functional

from models.ecg.objectives.masking import masked_mean

STEPS = 50


def huber_nats(predicted: Tensor, targets: Tensor) -> Tensor:
    """Smooth L1 loss of each patch, the mean over its features: (B, P, D) twice to (B, P).

    It is minus the log of a density of unit scale that is normal up to one unit from its peak and
    Laplacian beyond (Huber, Ann. Math. Stat. 35, 1964), less the log of the peak: nats of a feature,
    0 where the prediction is exact.
    """
    return functional.smooth_l1_loss(predicted, targets, reduction="none", beta=1.0).mean(-1)


def huber_centre(targets: Tensor, mask: Tensor) -> Tensor:
    """The constant (D,) with the least smooth L1 loss over the masked patches of (B, P, D).

    Gradient descent at step 1, which the loss's curvature of at most 1 makes a descent, from the mean.
    """
    centre = masked_mean(targets, mask)
    for _ in range(STEPS):
        centre = centre + masked_mean((targets - centre).clamp(-1, 1), mask)
    return centre
