"""Sequences of unlike lengths as rows of a rectangle, so that one call takes them all."""

from collections.abc import Sequence

import torch
from torch import Tensor


class Rectangle:
    """n sequences end to end, and the same as rows that zeros fill up.

    Parameters
    ----------
    lengths : sequence of int
        Of the sequences, in order; their sum is T and the longest L.
    device : torch.device
        Where values are.

    Examples
    --------
    >>> rectangle = Rectangle([1, 2], torch.device("cpu"))
    >>> rectangle.padded(torch.tensor([7, 8, 9])).tolist()
    [[7, 0], [8, 9]]
    >>> rectangle.stripped(torch.tensor([[7, 0], [8, 9]])).tolist()
    [7, 8, 9]
    """

    def __init__(self, lengths: Sequence[int], device: torch.device) -> None:
        self._rows, self._longest = len(lengths), max(lengths)
        self._places = None
        if min(lengths) < self._longest:
            kept = torch.arange(self._longest) < torch.tensor(lengths)[:, None]
            self._places = kept.flatten().nonzero().flatten().to(device, non_blocking=True)

    def padded(self, values: Tensor) -> Tensor:
        """(T, ...) to (n, L, ...)."""
        if self._places is not None:
            empty = values.new_zeros(self._rows * self._longest, *values.shape[1:])
            values = empty.index_copy(0, self._places, values)
        return values.view(self._rows, self._longest, *values.shape[1:])

    def stripped(self, rows: Tensor) -> Tensor:
        """(n, L, ...) to (T, ...)."""
        values = rows.flatten(0, 1)
        return values if self._places is None else values.index_select(0, self._places)
