"""Causal attention by blocks of queries: what a CPU in half precision does fastest.

PyTorch's fused attention on CPUs is written for float32: in bfloat16 it is hardly faster on long
sequences and several times slower on short ones. Plain batched matrix products run at the
processor's full bfloat16 rate, and a block of queries has products only with the keys up to its
end, so the work is that of the causal triangle plus half a block a row.
"""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

BLOCK = 256
"""Queries of a block."""

LOGITS = 1 << 21
"""Logits held at one time; more of them leave the processor's cache."""


def block_attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Causal attention in each of n sequences.

    Probabilities are kept for the backward pass, half of the full square of L x L.

    Parameters
    ----------
    queries, keys, values : Tensor, (n, L, head_dim)
        Of one half-precision dtype.

    Returns
    -------
    Tensor, (n, L, head_dim)
        Of the same dtype; logits and probabilities are rounded to it, sums are float32.
    """
    length = queries.shape[1]
    together = max(1, LOGITS // (min(length, BLOCK) * length))
    parts = zip(*(torch.split(t, together) for t in (queries, keys, values)), strict=True)
    return torch.cat([_BlockAttention.apply(*qkv) for qkv in parts])  # type: ignore[no-untyped-call]


class _BlockAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        queries = queries * queries.shape[-1] ** -0.5
        attended = torch.empty_like(values)
        blocks = _blocks(queries.shape[1])
        probabilities = []
        for start, stop in blocks:
            logits = torch.bmm(queries[:, start:stop], keys[:, :stop].transpose(1, 2))
            logits[:, :, start:] += _future(stop - start, logits)
            # Autocast would widen the probabilities to float32; the kernel's own sums are anyway.
            with torch.autocast("cpu", enabled=False):
                share = torch.softmax(logits, -1)
            attended[:, start:stop] = torch.bmm(share, values[:, :stop])
            probabilities.append(share)
        ctx.save_for_backward(queries, keys, values, *probabilities)
        return attended

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        queries, keys, values, *probabilities = ctx.saved_tensors
        grad_queries = torch.empty_like(queries)
        grad_keys = torch.zeros_like(keys, dtype=torch.float32)
        grad_values = torch.zeros_like(values, dtype=torch.float32)
        for (start, stop), share in zip(_blocks(queries.shape[1]), probabilities, strict=True):
            here = grad[:, start:stop]
            grad_values[:, :stop] += torch.bmm(share.transpose(1, 2), here)
            grad_share = torch.bmm(here, values[:, :stop].transpose(1, 2))
            slope = torch.ops.aten._softmax_backward_data(grad_share, share, -1, share.dtype)
            grad_queries[:, start:stop] = torch.bmm(slope, keys[:, :stop])
            grad_keys[:, :stop] += torch.bmm(slope.transpose(1, 2), queries[:, start:stop])
        return (
            grad_queries * queries.shape[-1] ** -0.5,
            grad_keys.to(keys.dtype),
            grad_values.to(values.dtype),
        )


def _blocks(length: int) -> list[tuple[int, int]]:
    return list(pairwise([*range(0, length, BLOCK), length]))


def _future(size: int, like: Tensor) -> Tensor:
    """Minus infinity above the diagonal."""
    return torch.full((size, size), -torch.inf, dtype=like.dtype).triu_(1)
