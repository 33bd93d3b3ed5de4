"""Patients' gradients of the gains and biases of norms."""

from torch import Tensor, nn
from torch.nn import functional

from client.privacy.per_sample.contribution import Contribution, Explicit, widened
from client.privacy.per_sample.convolution import summed_over_time
from models.ecg.convolution import GroupNorm, as_image, as_sequence


def of_group_norm(layer: GroupNorm, x: Tensor, grad: Tensor, patients: int) -> dict[str, Contribution]:
    """Gain and bias of a group norm over (B, L, C)."""
    normed = as_sequence(functional.group_norm(as_image(widened(x)), layer.num_groups, eps=layer.eps))
    return {"weight": scaled_over_time(normed, grad, patients), "bias": summed_over_time(grad, patients)}


def of_layer_norm(layer: nn.LayerNorm, x: Tensor, grad: Tensor, patients: int) -> dict[str, Contribution]:
    """Gain, and bias if there is one, of a layer norm over the last dimension."""
    normed = functional.layer_norm(widened(x), layer.normalized_shape, eps=layer.eps)
    found: dict[str, Contribution] = {"weight": scaled_over_time(normed, grad, patients)}
    if layer.bias is not None:
        found["bias"] = summed_over_time(grad, patients)
    return found


def of_rms_norm(layer: nn.RMSNorm, x: Tensor, grad: Tensor, patients: int) -> dict[str, Contribution]:
    """Gain of a root-mean-square norm over the last dimension."""
    normed = functional.rms_norm(widened(x), list(layer.normalized_shape), eps=layer.eps)
    return {"weight": scaled_over_time(normed, grad, patients)}


def scaled_over_time(normed: Tensor, grad: Tensor, patients: int) -> Explicit:
    """Gradients (n, C) of what each position of (B, ..., C) is multiplied by."""
    return Explicit((normed * widened(grad)).reshape(patients, -1, normed.shape[-1]).sum(1))
