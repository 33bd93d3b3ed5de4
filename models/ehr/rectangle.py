"""Sequences of unlike lengths as rows of rectangles, so that one call takes many."""

from collections.abc import Sequence

import torch
from torch import Tensor


class Rectangles:
    """Groups of sequences end to end, and the same as a rectangle a group, whose rows zeros fill up.

    Parameters
    ----------
    groups : sequence of list of int
        Lengths of the sequences of each group, in order; the sum of all is T.
    device : torch.device
        Where values are.

    Examples
    --------
    >>> rectangles = Rectangles([[1, 2], [1]], torch.device("cpu"))
    >>> [rows.tolist() for rows in rectangles.padded(torch.tensor([7, 8, 9, 5]))]
    [[[7, 0], [8, 9]], [[5]]]
    >>> rectangles.stripped([torch.tensor([[7, 0], [8, 9]]), torch.tensor([[5]])]).tolist()
    [7, 8, 9, 5]
    """

    def __init__(self, groups: Sequence[list[int]], device: torch.device) -> None:
        self._shapes = [(len(group), max(group)) for group in groups]
        self._sizes = [rows * longest for rows, longest in self._shapes]
        self._places = None
        if sum(self._sizes) > sum(map(sum, groups)):
            kept = [
                torch.arange(longest) < torch.tensor(group)[:, None]
                for group, (_, longest) in zip(groups, self._shapes, strict=True)
            ]
            places = torch.cat([part.flatten() for part in kept]).nonzero().flatten()
            self._places = places.to(device, non_blocking=True)

    def padded(self, values: Tensor) -> list[Tensor]:
        """(T, ...) to (n, L, ...) a group."""
        if self._places is not None:
            empty = values.new_zeros(sum(self._sizes), *values.shape[1:])
            values = empty.index_copy(0, self._places, values)
        parts = values.split_with_sizes(self._sizes)
        return [part.view(*shape, *part.shape[1:]) for part, shape in zip(parts, self._shapes, strict=True)]

    def stripped(self, groups: Sequence[Tensor]) -> Tensor:
        """(n, L, ...) a group to (T, ...)."""
        values = torch.cat([rows.flatten(0, 1) for rows in groups])
        return values if self._places is None else values.index_select(0, self._places)
