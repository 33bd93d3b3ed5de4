"""Next-token loss from hidden states, without ever holding all logits."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from models.ehr.packed import IGNORED


def chunk_rows(device: torch.device) -> int:
    """Tokens whose logits are held at one time: few on a CPU, whose caches they should not leave."""
    return 512 if device.type == "cpu" else 8192


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
    rows = chunk_rows(hidden.device)
    chunks = zip(torch.split(hidden, rows), torch.split(targets, rows), strict=True)
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


def nats_and_slopes(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cross-entropy of each row, and what its derivatives are made from.

    The derivative of a row's nats times ``share`` is ``slopes`` x share / ``mass``. The factor waits until
    the products with inputs and head, where it costs T x d instead of T x V multiplications.

    Parameters
    ----------
    logits : Tensor, (T, V)
        Overwritten if they are float32 or wider.
    targets : Tensor, (T,) int64
        Where ``IGNORED``, nats and slopes are of token 0 and for a share of 0.

    Returns
    -------
    nats : Tensor, (T, 1)
    slopes : Tensor, (T, V)
        ``mass`` times the difference of softmax and one-hot, in float32 or wider.
    mass : Tensor, (T, 1)
    """
    logits, places = _widen(logits), targets.clamp(min=0)[:, None]
    own, highest = logits.gather(1, places), logits.amax(1, keepdim=True)
    masses = logits.sub_(highest).exp_()
    mass = masses.sum(1, keepdim=True)
    nats = mass.log() + highest - own
    return nats, masses.scatter_add_(1, places, -mass), mass


class _MeanNats(torch.autograd.Function):
    """Chunked head and cross-entropy whose gradients are made in the forward pass."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        dtype = _product_dtype(hidden)
        inputs, head = hidden.to(dtype), weight.to(dtype)
        wanted = targets != IGNORED
        loss = torch.zeros((), dtype=_wide(hidden.dtype), device=hidden.device)
        shares = wanted.to(loss.dtype)[:, None] / wanted.sum().clamp(min=1)
        grad_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        grad_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        rows = chunk_rows(hidden.device)
        for start in range(0, len(hidden), rows):
            here = slice(start, start + rows)
            nats, slopes, mass = nats_and_slopes(functional.linear(inputs[here], head), targets[here])
            loss += (nats * shares[here]).sum()
            slope = slopes.to(dtype)
            factors = shares[here] / mass
            if grad_hidden is not None:
                grad_hidden[here] = (slope @ head) * factors
            if grad_weight is not None:
                grad_weight += slope.t() @ (hidden[here] * factors).to(dtype)
        ctx.grads = (grad_hidden, grad_weight)
        return loss

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
