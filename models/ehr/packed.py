"""A training batch: windows of several patients, one after the other, with no rows and no padding between."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

IGNORED = -100
"""Target of a token that has nothing to predict: padding, and prompts that are only read."""


@dataclass(frozen=True, eq=False)
class PackedBatch:
    """Windows laid end to end; attention never crosses a segment's border.

    A replica's T is fixed over a run, so that compiled code sees one shape. Equal
    lengths that stand next to each other are attended to in one call, hence
    sorting a batch's segments by length is worth the packer's while.

    Attributes
    ----------
    tokens : Tensor, (T,) int64
        Input tokens.
    targets : Tensor, (T,) int64
        Token to be predicted at each place, or ``IGNORED``.
    positions : Tensor, (T,) float32
        Rotary position of each token: its count in the window, or its time.
    segments : tuple of int
        Lengths of the segments, in order; their sum is T. Padding, if any, is the
        last segments.

    Raises
    ------
    ValueError
        If the parts do not have one length.
    """

    tokens: Tensor
    targets: Tensor
    positions: Tensor
    segments: tuple[int, ...]

    def __post_init__(self) -> None:
        lengths = {len(self.tokens), len(self.targets), len(self.positions), sum(self.segments)}
        if len(lengths) != 1:
            raise ValueError(f"tokens, targets, positions and segments differ in length: {sorted(lengths)}")

    @property
    def token_count(self) -> int:
        """Targets in the batch."""
        return int((self.targets != IGNORED).sum())

    def to(self, device: torch.device | str) -> "PackedBatch":
        """The same batch with its tensors on ``device``."""
        return replace(
            self,
            tokens=self.tokens.to(device, non_blocking=True),
            targets=self.targets.to(device, non_blocking=True),
            positions=self.positions.to(device, non_blocking=True),
        )
