"""Clipped gradients of an ECG step's patients by Opacus (Yousefpour et al., arXiv 2109.12298).

They give the sums that our own engines give, and stand beside them for comparison. Opacus knows layers by
their exact type, so those derived from PyTorch's are registered with its own rules.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from opacus.grad_sample import GradSampleModule
from opacus.grad_sample.conv import compute_conv_grad_sample
from opacus.grad_sample.grad_sample_module_fast_gradient_clipping import GradSampleModuleFastGradientClipping
from opacus.grad_sample.group_norm import compute_group_norm_grad_sample
from opacus.grad_sample.gsm_base import AbstractGradSampleModule
from opacus.grad_sample.linear import compute_linear_grad_sample, compute_linear_norm_sample
from opacus.grad_sample.utils import register_grad_sampler, register_norm_sampler
from torch import Tensor, nn

from client.privacy.clipping import Clipping
from client.privacy.engine import PatientGradients
from client.privacy.patient_loop import patient_loop
from client.privacy.per_sample.batched import add_clipped, norms_of
from client.privacy.per_sample.contribution import Explicit
from client.privacy.per_sample.patients import Losses, can_be_stacked, patient_losses, stacked
from models.ecg.convolution import Convolution, GroupNorm, as_image
from models.ecg.model import EcgModel
from models.ecg.objectives import layers
from models.ecg.transformer import Projection
from models.model import Batch, Model
from wardlaw.errors import ConfigError

LAYERS = (Convolution, nn.Linear, GroupNorm, nn.LayerNorm, nn.RMSNorm)
"""Layers whose patients' gradients Opacus tells in our models."""

PerSample = dict[nn.Parameter, Tensor]


def hooks(
    model: Model, patients: Sequence[Batch], clipping: Clipping, precision: torch.dtype = torch.float32
) -> PatientGradients:
    """Keep every patient's whole gradient; parameters and result are those of ``Engine``.

    Raises
    ------
    ConfigError
        If Opacus does not tell patients of this model apart.
    """
    ecg = supported(model, "hooks", precision)
    if not can_be_stacked(patients):
        return patient_loop(model, patients, clipping, precision)
    count = len(patients)
    with wrapped(GradSampleModule(Losses(ecg), loss_reduction="sum"), ecg) as module:
        losses = patient_losses(module(stacked(patients, next(ecg.parameters()).device)), count)
        losses.sum().backward()  # type: ignore[no-untyped-call]
        contributions = {
            name: Explicit(found.view(count, -1, *found.shape[1:]).sum(1))
            for name, parameter in ecg.named_parameters()
            if (found := getattr(parameter, "grad_sample", None)) is not None
        }
    norms = norms_of(contributions, losses.detach())
    add_clipped(ecg, contributions, clipping.factors(norms))
    return PatientGradients(losses.detach(), norms)


def ghost(
    model: Model, patients: Sequence[Batch], clipping: Clipping, precision: torch.dtype = torch.float32
) -> PatientGradients:
    """Norms without gradients where Opacus can, then a second backward pass; the rest as for ``hooks``."""
    return two_passes(supported(model, "ghost", precision), patients, clipping, use_ghost_clipping=True)


def fast_gradient(
    model: Model, patients: Sequence[Batch], clipping: Clipping, precision: torch.dtype = torch.float32
) -> PatientGradients:
    """One layer's gradients at a time, then a second backward pass; the rest as for ``hooks``."""
    return two_passes(
        supported(model, "fast-gradient", precision), patients, clipping, use_ghost_clipping=False
    )


def two_passes(
    model: EcgModel, patients: Sequence[Batch], clipping: Clipping, *, use_ghost_clipping: bool
) -> PatientGradients:
    """Norms from one backward pass, the sum of losses times factors from another.

    Raises
    ------
    ConfigError
        If a patient has more than one crop: Opacus's norms are those of single rows.
    """
    if not can_be_stacked(patients):
        return patient_loop(model, patients, clipping)
    batch, count = stacked(patients, next(model.parameters()).device), len(patients)
    if len(batch.signals) > count:
        raise ConfigError(
            "Opacus tells norms of single crops, not of a patient's",
            f"privacy.windows = {len(batch.signals) // count}",
            "Set privacy.windows = 1, or privacy.engine = 'batched'.",
        )
    module = GradSampleModuleFastGradientClipping(
        Losses(model), loss_reduction="sum", use_ghost_clipping=use_ghost_clipping
    )
    with wrapped(module, model):
        losses = patient_losses(module(batch), count)
        losses.sum().backward(retain_graph=True)  # type: ignore[no-untyped-call]
        norms = module.get_norm_sample()
        module.zero_grad(set_to_none=True)
        module.disable_hooks()
        factors = clipping.factors(norms)
        if complete := bool((factors != 0).all()):
            (losses @ factors).backward()  # type: ignore[no-untyped-call]
        sums = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    if not complete:
        # The second pass would multiply a dropped patient's gradient with 0, and infinity times 0 is not 0.
        return patient_loop(model, patients, clipping)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            before = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parameter.grad = before + sums[name] if name in sums else before
    return PatientGradients(losses.detach(), norms)


def supported(model: Model, engine: str, precision: torch.dtype) -> EcgModel:
    """The model, if Opacus can tell its patients' gradients.

    Raises
    ------
    ConfigError
        With all that stands against it.
    """
    reasons = unsupported(model)
    if precision != torch.float32:
        reasons.append("its rules do not mix precisions, and train.precision is not 'fp32'")
    if reasons or not isinstance(model, EcgModel):
        raise ConfigError(
            f"Opacus cannot tell this model's patients apart: {'; '.join(reasons)}",
            f"privacy.engine = '{engine}'",
            "Set privacy.engine = 'auto'.",
        )
    return model


def unsupported(model: Model) -> list[str]:
    """What Opacus does not know of a model: its batches, or parameters outside ``LAYERS``."""
    if not isinstance(model, EcgModel):
        return ["its batches are packed, not rows of one length"]
    return [
        f"{path}.{name} is in no layer that it knows"
        for path, module in model.named_modules()
        if not known(module)
        for name, parameter in module.named_parameters(recurse=False)
        if parameter.requires_grad
    ]


def known(module: nn.Module) -> bool:
    """Whether Opacus has a rule: that for layer norm fails where there is no bias."""
    return isinstance(module, LAYERS) and not (isinstance(module, nn.LayerNorm) and module.bias is None)


@contextmanager
def wrapped(module: AbstractGradSampleModule, model: nn.Module) -> Iterator[AbstractGradSampleModule]:
    """Let Opacus hook into a model, then take out all it left, with the gradients as they were before."""
    before = {name: parameter.grad for name, parameter in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = None
    try:
        yield module
    finally:
        module.to_standard_module()
        for name, parameter in model.named_parameters():
            parameter.grad = before[name]


def convolution_gradients(layer: Convolution, activations: list[Tensor], backprops: Tensor) -> PerSample:
    """Opacus's rule for convolutions, which asks for PyTorch's own type, over (B, L, C)."""
    plain = nn.Conv2d(
        layer.in_channels,
        layer.out_channels,
        (1, layer.kernel_size[1]),
        (1, layer.stride[1]),
        padding=(0, int(layer.padding[1])),
        groups=layer.groups,
        device="meta",
    )
    plain.weight, plain.bias = layer.weight, layer.bias
    # Opacus's windows are views that take their input for contiguous, and are wrong where it is not.
    inputs = as_image(activations[0]).contiguous()
    found: PerSample = compute_conv_grad_sample(plain, [inputs], as_image(backprops))
    return found


def group_norm_gradients(layer: GroupNorm, activations: list[Tensor], backprops: Tensor) -> PerSample:
    """Opacus's rule for group norms over (B, L, C)."""
    found: PerSample = compute_group_norm_grad_sample(layer, [as_image(activations[0])], as_image(backprops))
    return found


register_grad_sampler([Projection, layers.Linear])(compute_linear_grad_sample)
register_norm_sampler([Projection, layers.Linear])(compute_linear_norm_sample)
register_grad_sampler(Convolution)(convolution_gradients)
register_grad_sampler(GroupNorm)(group_norm_gradients)
