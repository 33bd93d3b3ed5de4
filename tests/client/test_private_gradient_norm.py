"""Norms of large gradients against float64."""

import pytest
import torch

from client.privacy.clipping import Clipping
from client.privacy.gradient_norm import squared_norms
from client.privacy.patient_loop import patient_loop
from tests.client.test_private_loop import Plain


@pytest.mark.parametrize("shape", [(3, 16384, 256), (2, 7, 5, 3, 1), (4, 9), (5,)])
def test_norms_equal_those_in_float64(shape: tuple[int, ...]) -> None:
    gradients = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    wanted = gradients.double().reshape(shape[0], -1).square().sum(1)
    torch.testing.assert_close(squared_norms(gradients).double(), wanted, rtol=2e-6, atol=0)


def test_a_large_models_clipped_gradient_is_not_longer_than_the_bound() -> None:
    """PyTorch's norm of such a matrix in float32 comes out 7e-4 too short."""

    class Linear(Plain, torch.nn.Linear):
        def loss(self, patient: torch.Tensor) -> torch.Tensor:
            return (self.weight * patient).sum()

    model = Linear(1024, 16384, bias=False)
    patient = torch.randn(model.weight.shape, generator=torch.Generator().manual_seed(0))
    patient_loop(model, [patient], Clipping(1.0))  # type: ignore[arg-type, list-item]
    assert model.weight.grad is not None
    assert model.weight.grad.double().norm().item() == pytest.approx(1.0, rel=3e-6)
