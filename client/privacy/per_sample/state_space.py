"""Patients' gradients of a diagonal state-space model."""

from typing import Any

import torch
from torch import Tensor

from client.privacy.per_sample.contribution import Contribution, Explicit
from models.ecg.s4d import StateSpace


def of_state_space(layer: StateSpace, x: Tensor, grad: Tensor, patients: int) -> dict[str, Contribution]:
    """All parameters, from input and output's gradient, both (width, B, L).

    First each patient's gradient of the kernels, a correlation over its crops; then one transposed
    derivative of the kernels by the parameters, applied to all patients.
    """
    parameters = {name: value.detach() for name, value in layer.named_parameters()}

    def kernels(values: dict[str, Tensor]) -> Tensor:
        found: Tensor = torch.func.functional_call(_Kernels(layer), _prefixed(values), (x.shape[-1],))
        return found

    transposed = torch.func.vjp(kernels, parameters)[1]
    correlated = kernel_gradients(x, grad, patients)
    (found,) = torch.func.vmap(transposed)(correlated)
    return {name: Explicit(values) for name, values in found.items()}


def kernel_gradients(x: Tensor, grad: Tensor, patients: int) -> Tensor:
    """Correlation of inputs and gradients over time, summed over a patient's crops: (n, width, 2 L)."""
    padded = 2 * x.shape[-1]
    spectra = torch.fft.rfft(x, n=padded).conj() * torch.fft.rfft(grad, n=padded)
    summed = spectra.view(len(x), patients, -1, spectra.shape[-1]).sum(2)
    correlated: Tensor = torch.fft.irfft(summed, n=padded)
    return correlated.transpose(0, 1)


class _Kernels(torch.nn.Module):
    """The kernels of a layer as a module's output, which ``functional_call`` needs."""

    def __init__(self, layer: StateSpace) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, length: int) -> Tensor:
        return self.layer.kernels(length)


def _prefixed(values: dict[str, Any]) -> dict[str, Any]:
    return {f"layer.{name}": value for name, value in values.items()}
