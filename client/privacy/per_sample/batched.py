"""Clipped gradients of all patients of an ECG step from one forward and one backward pass."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from client.privacy.clipping import Clipping
from client.privacy.engine import PatientGradients
from client.privacy.patient_loop import patient_loop
from client.privacy.per_sample.capture import Capture
from client.privacy.per_sample.contribution import Contribution
from client.privacy.per_sample.patients import can_be_stacked, patient_losses, stacked
from client.privacy.per_sample.rules import parameters_without_rule
from models.ecg.model import EcgModel
from models.model import Batch, Model


def batched(
    model: Model, patients: Sequence[Batch], clipping: Clipping, precision: torch.dtype = torch.float32
) -> PatientGradients:
    """Add the sum of the patients' clipped gradients; parameters and result are those of ``Engine``.

    Layers keep what their patients' norms and clipped sum are made from ("book-keeping", Bu et al.,
    arXiv 2210.00038). Patients with different numbers of crops, and models with a layer that has no
    rule, are taken one by one.
    """
    together = can_be_stacked(patients) and not parameters_without_rule(model)
    if not (isinstance(model, EcgModel) and together):
        return patient_loop(model, patients, clipping, precision)
    batch = stacked(patients, next(model.parameters()).device)
    capture = Capture(model, len(patients), len(batch.signals))
    with torch.autocast(batch.signals.device.type, torch.bfloat16, enabled=precision == torch.bfloat16):
        losses = patient_losses(capture.losses(batch), len(patients))
    contributions = capture.backward(losses.sum())
    norms = norms_of(contributions, losses.detach())
    add_clipped(model, contributions, clipping.factors(norms))
    return PatientGradients(losses.detach(), norms)


def norms_of(contributions: Mapping[str, Contribution], like: Tensor) -> Tensor:
    """L2 norm of each patient's gradient over all parameters: (n,)."""
    squares = (contribution.squared_norms() for contribution in contributions.values())
    return sum(squares, torch.zeros_like(like)).sqrt()


def add_clipped(model: nn.Module, contributions: Mapping[str, Contribution], factors: Tensor) -> None:
    """Add the weighted sums to the gradients; a parameter that nobody used gets zeros."""
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        if name in contributions:
            parameter.grad += contributions[name].weighted_sum(factors).view_as(parameter)
