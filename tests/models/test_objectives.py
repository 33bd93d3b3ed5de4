import pytest
import torch
from torch.nn import functional

from models.ehr import objectives
from models.ehr.objectives import mean_nats, token_nats
from models.ehr.packed import IGNORED


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(objectives, "chunk_rows", lambda device: 8)


def case(tokens=29, width=6, vocabulary=13, dtype=torch.float64):
    stream = torch.Generator().manual_seed(0)
    hidden = torch.randn(tokens, width, generator=stream, dtype=dtype).requires_grad_()
    weight = torch.randn(vocabulary, width, generator=stream, dtype=dtype).requires_grad_()
    targets = torch.randint(0, vocabulary, (tokens,), generator=stream)
    targets[::5] = IGNORED
    return hidden, weight, targets


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-6)])
def test_fused_loss_and_gradients_equal_the_plain_ones(dtype, tolerance):
    hidden, weight, targets = case(dtype=dtype)
    plain = functional.cross_entropy(functional.linear(hidden, weight), targets, ignore_index=IGNORED)
    expected = torch.autograd.grad(plain * 3, (hidden, weight))
    fused = mean_nats(hidden, weight, targets)
    found = torch.autograd.grad(fused * 3, (hidden, weight))
    torch.testing.assert_close(fused, plain, atol=0, rtol=tolerance)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=tolerance, rtol=tolerance)


def test_gradient_is_the_derivative():
    hidden, weight, targets = case(tokens=11)
    assert torch.autograd.gradcheck(lambda h, w: mean_nats(h, w, targets), (hidden, weight))


def test_tokens_nats_are_the_plain_ones():
    hidden, weight, targets = case()
    hidden, weight = hidden.detach(), weight.detach()
    nats = token_nats(hidden, weight, targets)
    logits = hidden @ weight.T
    for place, target in enumerate(targets.tolist()):
        expected = 0.0 if target == IGNORED else -logits[place].log_softmax(0)[target]
        assert float(nats[place]) == pytest.approx(float(expected), abs=1e-12)
    assert mean_nats(hidden, weight, targets).item() == pytest.approx(
        nats.sum().item() / (targets != IGNORED).sum().item(), abs=1e-12
    )


def test_no_targets_give_zero_and_no_gradient():
    hidden, weight, targets = case()
    loss = mean_nats(hidden, weight, torch.full_like(targets, IGNORED))
    loss.backward()
    assert loss.item() == 0
    assert hidden.grad.abs().max() == 0
    assert weight.grad.abs().max() == 0


def test_frozen_parts_get_no_gradient():
    hidden, weight, targets = case()
    mean_nats(hidden.detach(), weight, targets).backward()
    assert weight.grad is not None
    assert hidden.grad is None


def test_autocast_gives_what_plain_autocast_gives():
    hidden, weight, targets = case(width=32, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        plain = functional.cross_entropy(functional.linear(hidden, weight), targets, ignore_index=IGNORED)
        fused = mean_nats(hidden, weight, targets)
    expected, found = (torch.autograd.grad(loss, (hidden, weight)) for loss in (plain, fused))
    assert fused.dtype == torch.float32
    torch.testing.assert_close(fused, plain, atol=0, rtol=1e-6)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=2e-3, rtol=0.02)
