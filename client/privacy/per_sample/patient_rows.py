"""Which rows of a packed batch are whose."""

from collections.abc import Sequence

import torch
from torch import Tensor

WIDE = 2048
"""Columns from which on rows are multiplied where they are: copying them would cost more than the calls."""


class PatientRows:
    """Rows of n patients, one patient after the other.

    Parameters
    ----------
    sizes : sequence of int
        Number of rows of each patient, at least 1.
    device : torch.device
        Where the rows are.

    Attributes
    ----------
    sizes : tuple of int
    longest : int
        L: most rows of a patient.
    owners : Tensor, (T,) int64
        Each row's patient.
    """

    def __init__(self, sizes: Sequence[int], device: torch.device) -> None:
        self.sizes, self.longest = tuple(sizes), max(sizes)
        counts = torch.tensor(self.sizes, device=device)
        self.owners = torch.repeat_interleave(torch.arange(len(counts), device=device), counts)
        places = torch.arange(self.longest, device=device)
        starts = counts.cumsum(0) - counts
        # A block is filled up with its patient's own last row: another's numbers may be infinite.
        self._places = (starts[:, None] + torch.minimum(places, counts[:, None] - 1)).flatten()
        self._own = (places < counts[:, None]).float()

    def __len__(self) -> int:
        return len(self.sizes)

    def summed(self, values: Tensor) -> Tensor:
        """Sum over each patient's rows: (T, ...) to (n, ...)."""
        return values.new_zeros(len(self), *values.shape[1:]).index_add_(0, self.owners, values)

    def products(self, values: Tensor) -> Tensor:
        """Inner products of each two rows of a patient: (T, C) to (n, L, L), anything beyond its own rows."""
        if values.shape[1] > WIDE:
            found = values.new_zeros(len(self), self.longest, self.longest)
            for block, own in zip(found, values.split_with_sizes(self.sizes), strict=True):
                block[: len(own), : len(own)] = own @ own.mT
            return found
        blocks = values.index_select(0, self._places).view(len(self), self.longest, -1)
        return blocks @ blocks.mT

    def own_products(self, values: Tensor) -> Tensor:
        """The same, zero beyond a patient's own rows."""
        own = self._own.to(values.dtype)
        return self.products(values).mul_(own[:, :, None]).mul_(own[:, None])
