"""Keys and values of timelines that are being continued."""

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from models.ehr.attention import Attend, SegmentAttention

ROOM = 128
"""Tokens by which a cache grows."""


class Cache:
    """Keys and values of every block for a shrinking batch of timelines.

    Parameters
    ----------
    depth : int
        Number of blocks.
    lengths : list of int
        Tokens of each row's prompt.
    device : torch.device
        Where keys and values are.
    """

    def __init__(self, depth: int, lengths: list[int], device: torch.device) -> None:
        self.lengths = torch.tensor(lengths, device=device)
        self.longest = max(lengths)
        self.keys: list[Tensor] = [torch.empty(0)] * depth
        self.values: list[Tensor] = [torch.empty(0)] * depth

    def reading(self, layer: int, segments: SegmentAttention) -> Attend:
        """A block's attention over the packed prompts, which also takes their keys and values in."""

        def attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
            self.keys[layer], self.values[layer] = self._rows(keys), self._rows(values)
            return segments(queries, keys, values)

        return attend

    def stepping(self, layer: int, places: tuple[Tensor, Tensor], seen: Tensor) -> Attend:
        """A block's attention of one new token a row, put at ``places``, over what the row has ``seen``."""

        def attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
            rows, ends = places
            self.keys[layer][rows, :, ends] = keys
            self.values[layer][rows, :, ends] = values
            attended = functional.scaled_dot_product_attention(
                queries[:, :, None],
                self.keys[layer][:, :, : self.longest],
                self.values[layer][:, :, : self.longest],
                attn_mask=seen,
            )
            return attended.flatten(1)

        return attend

    def extend(self) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """Make room for one more token a row; give its places and a mask of each row's tokens."""
        places = (torch.arange(len(self.lengths), device=self.lengths.device), self.lengths)
        self.lengths = self.lengths + 1
        self.longest += 1
        if self.longest > self.keys[0].shape[2]:
            self.keys = [functional.pad(keys, (0, 0, 0, ROOM)) for keys in self.keys]
            self.values = [functional.pad(values, (0, 0, 0, ROOM)) for values in self.values]
        slots = torch.arange(self.longest, device=self.lengths.device)
        return places, (slots < self.lengths[:, None])[:, None, None]

    def keep(self, rows: Tensor) -> None:
        """Drop all rows but these."""
        self.lengths = self.lengths[rows]
        self.longest = int(self.lengths.max())
        self.keys = [keys[rows] for keys in self.keys]
        self.values = [values[rows] for values in self.values]

    def _rows(self, packed: Tensor) -> Tensor:
        """(sum of lengths, heads, head_dim) to (rows, heads, longest + room, head_dim)."""
        rows = pad_sequence(list(torch.split(packed, self.lengths.tolist())), batch_first=True)
        return functional.pad(rows, (0, 0, 0, 0, 0, ROOM)).transpose(1, 2).contiguous()
