"""Which rows of a packed batch are whose."""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.ehr.attention import alike, runs_of
from models.ehr.rectangle import Rectangles


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
        self._number, self.longest = len(sizes), max(sizes)
        places = torch.arange(len(sizes), device=device)
        self.owners = torch.repeat_interleave(places, torch.tensor(sizes, device=device))
        self._rectangles = Rectangles(together(sizes, device), device)

    def __len__(self) -> int:
        return self._number

    def grouped(self, values: Tensor) -> list[Tensor]:
        """Rows (T, C) of patients who share products: (k, L, C) each, zeros behind who has fewer than L."""
        return self._rectangles.padded(values)

    def summed(self, values: Tensor) -> Tensor:
        """Sum over each patient's rows: (T, ...) to (n, ...)."""
        return values.new_zeros(len(self), *values.shape[1:]).index_add_(0, self.owners, values)


def together(sizes: Sequence[int], device: torch.device) -> list[list[int]]:
    """Neighbours who share products: a GPU has too many calls, a CPU would only multiply zeros."""
    return [[size] for size in sizes] if device.type == "cpu" else runs_of(sizes, alike(device))
