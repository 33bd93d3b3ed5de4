"""What every ECG architecture is to an objective: signals in, a sequence of features out."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from torch import Tensor, nn

PATCH = 16
"""Samples of a patch: what an objective masks, predicts and counts, the same for all families."""


class Backbone(nn.Module, ABC):
    """An architecture without an objective.

    Subclasses are built without random numbers (``torch.device("meta")`` must do); matrices are
    drawn by ``models.ecg.scaling``, all else starts as the constructor leaves it.

    Attributes
    ----------
    stride : int
        Samples of one position: a power of two, fixed by the architecture.
    width : int
        Size of a feature vector.
    depth : int
        Number of blocks.
    width_ratio : float
        Width over that of the ladder's base rung, for muP's learning rates.
    """

    VECTORS: ClassVar[frozenset[str]] = frozenset()
    """Last names of parameters of two or more dimensions that belong to single channels, as a
    state-space model's poles do: they keep the constructor's values, learn at the base rate and do
    not decay."""

    DRAWN: ClassVar[Mapping[str, float]] = MappingProxyType({})
    """Standard deviation by last name, of vectors that are drawn all the same."""

    stride: int
    width: int
    depth: int
    width_ratio: float

    @abstractmethod
    def layers(self, signals: Tensor) -> tuple[Tensor, ...]:
        """Outputs of the blocks that have the final resolution.

        Parameters
        ----------
        signals : Tensor, (B, L, leads)
            L is a multiple of ``stride``.

        Returns
        -------
        tuple of Tensor
            Each (B, L / stride, width), at least two; the last has passed the final norm.
        """

    @abstractmethod
    def forward_flops(self, samples: int) -> float:
        """FLOPs of a forward pass over one crop of ``samples`` samples, a multiply-add being two.

        Counted are convolutions, matrix products, attention's products and a state-space model's
        transforms; norms, activations and pooling are not.
        """

    def forward(self, signals: Tensor) -> Tensor:
        """(B, L, leads) to the final features (B, L / stride, width)."""
        return self.layers(signals)[-1]

    @property
    def patch(self) -> int:
        """Samples of a patch for this backbone: ``PATCH``, or the stride if it is longer."""
        return max(PATCH, self.stride)


def over_patches(features: Tensor, backbone: Backbone) -> Tensor:
    """Mean feature of each patch: (B, L / stride, width) to (B, L / patch, width)."""
    positions = backbone.patch // backbone.stride
    if positions == 1:
        return features
    batch, length, width = features.shape
    return features.view(batch, length // positions, positions, width).mean(2)
