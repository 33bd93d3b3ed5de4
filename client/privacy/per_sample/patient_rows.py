"""Which rows of a packed batch are whose."""

from collections.abc import Sequence

import torch
from torch import Tensor


class PatientRows:
    """Rows of n patients, one patient after the other.

    Parameters
    ----------
    sizes : sequence of int
        Number of rows of each patient.
    device : torch.device
        Where the rows are.

    Attributes
    ----------
    owners : Tensor, (T,) int64
        Each row's patient.
    longest : int
        Most rows of a patient.
    """

    def __init__(self, sizes: Sequence[int], device: torch.device) -> None:
        self._sizes, self.longest = list(sizes), max(sizes)
        places = torch.arange(len(sizes), device=device)
        self.owners = torch.repeat_interleave(places, torch.tensor(self._sizes, device=device))

    def __len__(self) -> int:
        return len(self._sizes)

    def parts(self, values: Tensor) -> tuple[Tensor, ...]:
        """Each patient's rows of (T, ...)."""
        return values.split_with_sizes(self._sizes)

    def summed(self, values: Tensor) -> Tensor:
        """Sum over each patient's rows: (T, ...) to (n, ...)."""
        return values.new_zeros(len(self), *values.shape[1:]).index_add_(0, self.owners, values)
