import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

import models.ehr.block_attention
from models.ehr.block_attention import BLOCK, block_attention


def gradients(attend: object, inputs: list[Tensor], grad: Tensor) -> tuple[Tensor, ...]:
    output = attend(*inputs)
    return (output, *torch.autograd.grad(output, inputs, grad))


@pytest.mark.parametrize("length", [1, 7, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 40])
@pytest.mark.parametrize("head_dim", [16, 64])
def test_values_and_gradients_equal_float64(length: int, head_dim: int) -> None:
    stream = torch.Generator().manual_seed(length)
    inputs = [
        torch.randn(3, length, head_dim, generator=stream).bfloat16().requires_grad_() for _ in range(3)
    ]
    grad = torch.randn(3, length, head_dim, generator=stream).bfloat16()
    wide = [part.detach().double().requires_grad_() for part in inputs]
    expected = gradients(lambda *qkv: scaled_dot_product_attention(*qkv, is_causal=True), wide, grad.double())
    for ours, exact in zip(gradients(block_attention, inputs, grad), expected, strict=True):
        assert ours.dtype == torch.bfloat16
        # A few roundings of relative size 2 ** -9; the gradient through one key alone is 0.
        assert (ours.double() - exact).norm() <= 0.01 * exact.norm() + 1e-6


def test_many_sequences_are_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = torch.Generator().manual_seed(0)
    inputs = [torch.randn(5, 40, 16, generator=stream).bfloat16() for _ in range(3)]
    whole = block_attention(*inputs)
    monkeypatch.setattr(models.ehr.block_attention, "LOGITS", 2 * 40 * 40)
    assert torch.equal(block_attention(*inputs), whole)


def test_autocast_changes_nothing() -> None:
    stream = torch.Generator().manual_seed(0)
    inputs = [torch.randn(2, 300, 32, generator=stream).bfloat16().requires_grad_() for _ in range(3)]
    grad = torch.ones(2, 300, 32, dtype=torch.bfloat16)
    plain = gradients(block_attention, inputs, grad)
    with torch.autocast("cpu", torch.bfloat16):
        cast = gradients(block_attention, inputs, grad)
    assert all(torch.equal(one, other) for one, other in zip(plain, cast, strict=True))


def test_no_position_sees_a_later_one() -> None:
    stream = torch.Generator().manual_seed(0)
    queries, keys, values = (torch.randn(1, 600, 16, generator=stream).bfloat16() for _ in range(3))
    before = block_attention(queries, keys, values)
    keys[:, 400:], values[:, 400:] = 100.0, 100.0
    after = block_attention(queries, keys, values)
    assert torch.equal(before[:, :400], after[:, :400])
    assert not torch.equal(before[:, 400:], after[:, 400:])
