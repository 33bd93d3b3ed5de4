"""Clipped gradients patient by patient: any model, exact, at the memory of one patient."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from client.privacy.clipping import Clipping
from client.privacy.engine import PatientGradients
from client.privacy.gradient_norm import squared_norms
from models.model import Batch, Model


def patient_loop(
    model: Model, patients: Sequence[Batch], clipping: Clipping, precision: torch.dtype = torch.float32
) -> PatientGradients:
    """Add the sum of the patients' clipped gradients, one backward pass a patient.

    Only one patient's activations and gradient exist at a time, beside the sum, and no patient is
    padded to another's length. Whatever autograd can differentiate is allowed: shared parameters,
    custom functions, layers that are used by no patient. Parameters and result are those of
    ``client.privacy.engine.Engine``; a gradient whose norm is not finite adds nothing, and its norm says so.
    """
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    sums = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
    device = weights[0].device
    losses, norms = torch.empty(2, len(patients), device=device, dtype=weights[0].dtype)
    half = precision == torch.bfloat16
    # One context for all patients: weights are cast once.
    with torch.autocast(device.type, torch.bfloat16, enabled=half):
        for place, patient in enumerate(patients):
            losses[place], norms[place] = _add_clipped(sums, model, weights, patient.to(device), clipping)
    for weight, total in zip(weights, sums, strict=True):
        weight.grad = total
    return PatientGradients(losses, norms)


def _add_clipped(
    sums: list[Tensor], model: Model, weights: list[nn.Parameter], patient: Batch, clipping: Clipping
) -> tuple[Tensor, Tensor]:
    """Loss, and norm before clipping, of one patient; its gradient is gone on return."""
    loss = model.loss(patient)
    with torch.autocast(loss.device.type, enabled=False):
        gradients = torch.autograd.grad(loss, weights, materialize_grads=True)
    norm = torch.cat([squared_norms(gradient[None]) for gradient in gradients]).sum().sqrt()
    factor = clipping.factors(norm).item()
    # Infinity times 0 is not 0.
    if factor:
        torch._foreach_add_(sums, gradients, alpha=factor)
    return loss.detach(), norm
