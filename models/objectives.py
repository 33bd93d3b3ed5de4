"""Next-token loss from hidden states, without ever holding all logits."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from models.packed import IGNORED

CHUNK = 1024
"""Tokens whose logits are held at one time."""


def token_nats(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of each target, chunk by chunk: the plain path, for evaluation.

    Parameters
    ----------
    hidden : Tensor, (T, d)
        Final hidden states.
    weight : Tensor, (V, d)
        The head.
    targets : Tensor, (T,) int64
        Tokens to predict, or ``IGNORED``.

    Returns
    -------
    Tensor, (T,) float32 or wider
        Nats; 0 where there is no target.
    """
    chunks = zip(torch.split(hidden, CHUNK), torch.split(targets, CHUNK), strict=True)
    return torch.cat(
        [
            functional.cross_entropy(
                _widen(functional.linear(h, weight)), t, ignore_index=IGNORED, reduction="none"
            )
            for h, t in chunks
        ]
    )


def mean_nats(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy over the targets, with gradients for ``hidden`` and ``weight``.

    The same function as the mean of ``token_nats`` over targets, at the memory of one chunk's logits:
    a chunk's gradient is taken while its logits are at hand, so nothing is computed twice (Hsu et al.,
    arXiv 2410.10989, section 3.2, do so on GPUs). Products are in autocast's dtype, sums in float32.

    Parameters
    ----------
    hidden, weight, targets
        As for ``token_nats``.

    Returns
    -------
    Tensor, () float32 or wider
        Mean nats; 0 if there is no target. It cannot be differentiated twice.
    """
    loss: Tensor = _MeanNats.apply(hidden, weight, targets)  # type: ignore[no-untyped-call]
    return loss


class _MeanNats(torch.autograd.Function):
    """Chunked head and cross-entropy whose gradients are made in the forward pass."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        wanted = targets != IGNORED
        inputs, head = hidden.to(_product_dtype(hidden)), weight.to(_product_dtype(hidden))
        total = torch.zeros((), dtype=_wide(hidden.dtype), device=hidden.device)
        shares = wanted.to(total.dtype)[:, None] / wanted.sum().clamp(min=1)
        grad_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        grad_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        for start in range(0, len(hidden), CHUNK):
            here = slice(start, start + CHUNK)
            log_probabilities = functional.log_softmax(_widen(functional.linear(inputs[here], head)), dim=-1)
            scale = shares[here]
            places = targets[here].clamp(min=0)[:, None]
            total -= (log_probabilities.gather(1, places) * scale).sum()
            # d loss / d logits = (softmax - one-hot) / number of targets
            slope = log_probabilities.exp_().mul_(scale)
            slope = slope.scatter_add_(1, places, -scale).to(head.dtype)
            if grad_hidden is not None:
                grad_hidden[here] = slope @ head
            if grad_weight is not None:
                grad_weight += slope.t() @ inputs[here]
        ctx.grads = (grad_hidden, grad_weight)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        grad_hidden, grad_weight = (
            None if grad is None else grad * grad_loss.to(grad.dtype) for grad in ctx.grads
        )
        return grad_hidden, grad_weight, None


def _product_dtype(tensor: Tensor) -> torch.dtype:
    """Dtype of matrix products: autocast's where it is on."""
    device = tensor.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else tensor.dtype


def _wide(dtype: torch.dtype) -> torch.dtype:
    """float32 for half precision, else the dtype itself."""
    return torch.promote_types(dtype, torch.float32)


def _widen(tensor: Tensor) -> Tensor:
    return tensor.to(_wide(tensor.dtype))
