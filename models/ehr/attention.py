"""Causal attention inside each segment of a packed batch, and rotary positions."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention.varlen import varlen_attn

from models.ehr.block_attention import block_attention
from models.ehr.rectangle import Rectangles

HALF = (torch.bfloat16, torch.float16)


Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Attention over queries, keys and values, each (T, heads, head_dim); gives (T, heads x head_dim)."""


class SegmentAttention:
    """Causal attention that never crosses a segment's border.

    On a GPU in half precision one variable-length flash kernel takes the whole batch. Elsewhere,
    neighbouring segments of one length (on a GPU: of about one length) share one call of PyTorch's
    fused attention, or in half precision of ours. No mask is ever made: what fills a segment up comes
    after it, where none of its queries looks. So the cost is the sum of the squares of the lengths.

    Parameters
    ----------
    segments : sequence of int
        Lengths of the segments, in order.
    device : torch.device
        Where queries, keys and values are.
    """

    def __init__(self, segments: Sequence[int], device: torch.device) -> None:
        self._rectangles = Rectangles(runs_of(segments, alike(device)), device)
        self.longest = max(segments)
        self.borders = None
        if device.type == "cuda":
            borders = torch.tensor([0, *segments]).cumsum(0).to(torch.int32)
            self.borders = borders.to(device, non_blocking=True)

    def __call__(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Attend; see ``Attend`` for the shapes."""
        if self.borders is not None and values.dtype in HALF:
            return self._flash(queries, keys, values, self.borders)
        parts = zip(*map(self._rectangles.padded, (queries, keys, values)), strict=True)
        return self._rectangles.stripped([_attend_run(*run) for run in parts])

    def _flash(self, queries: Tensor, keys: Tensor, values: Tensor, borders: Tensor) -> Tensor:
        longest = self.longest
        attended = varlen_attn(queries, keys, values, borders, borders, longest, longest, window_size=(-1, 0))
        assert isinstance(attended, Tensor)
        return attended.flatten(1)


def alike(device: torch.device) -> float:
    """Least ratio of the lengths of segments that share a call: calls are what a GPU has too many of."""
    return 1.0 if device.type == "cpu" else 0.25


def runs_of(segments: Sequence[int], ratio: float) -> list[list[int]]:
    """Neighbouring lengths none of which is below ``ratio`` times another.

    Examples
    --------
    >>> runs_of([100, 90, 80, 70, 10], 0.75)
    [[100, 90, 80], [70], [10]]
    """
    runs: list[list[int]] = []
    least, most = 0, 0
    for length in segments:
        least, most = min(least, length), max(most, length)
        if least < ratio * most or not runs:
            runs.append([])
            least = most = length
        runs[-1].append(length)
    return runs


def _attend_run(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attention in n rows of one length: (n, L, heads, head_dim) each, to (n, L, heads x head_dim)."""
    q, k, v = (t.transpose(1, 2) for t in (queries, keys, values))
    if values.dtype in HALF:
        attended = block_attention(*(t.flatten(0, 1) for t in (q, k, v))).view_as(q)
    else:
        attended = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    return attended.transpose(1, 2).flatten(2)


def rotation(positions: Tensor, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines of rotary positions (Su et al., arXiv 2104.09864, eq. 34).

    Parameters
    ----------
    positions : Tensor, (T,) float32
        Any real positions, not only counts.
    head_dim : int
        Dimensions of a head; even.
    theta : float
        Base of the frequencies ``theta ** (-2 i / head_dim)``.

    Returns
    -------
    tuple of Tensor
        Two (T, 1, head_dim / 2) float32, to be broadcast over heads.
    """
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float32, device=positions.device) / head_dim
    angles = positions.float()[:, None, None] * (1.0 / theta**exponents)
    return angles.cos(), angles.sin()


def rotate(vectors: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Turn (T, heads, head_dim) vectors by their positions; dimension i pairs with i + head_dim / 2.

    The pairing is that of transformers' Llama, so that its checkpoints and ours are the same.
    """
    first, second = vectors.chunk(2, dim=-1)
    return torch.cat((first * cosines - second * sines, second * cosines + first * sines), dim=-1)
